"""Every transport with every model through every fault, with real processes.

Good requests differ in size, so that an answer that belongs to another request is found out. What fails says which
requests were lost and which were answered wrongly.
"""

from __future__ import annotations

import io
import itertools
import json
import shutil
import signal
import time
from contextlib import ExitStack

import numpy as np
import pytest
from PIL import Image

from tests.support.answers import Answers
from tests.support.drivers import DRIVERS
from tests.support.requests import Request, giant
from tests.support.subjects import CASES

pytestmark = pytest.mark.slow("starts commands with every model")

TRANSPORTS = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            name in ("channels", "streams") and shutil.which("redis-server") is None, reason="redis-server is missing"
        ),
    )
    for name in DRIVERS
]


@pytest.fixture(scope="module", params=CASES)
def case(request):
    found = CASES[request.param]
    if found.missing:
        pytest.skip(found.missing)
    return found


@pytest.fixture(scope="module", params=TRANSPORTS)
def drivers(request, case, tmp_path_factory):
    """The driver of the last test, if there is one that works, and how to make another one."""
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("runs")
        numbers = itertools.count()
        yield [], lambda: DRIVERS[request.param](case.make(), folder / str(next(numbers)), stack)


@pytest.fixture
def driver(request, drivers):
    """One with a worker and clean books. A worker that passed a test goes on, as they take some seconds to start."""
    kept, make = drivers
    found = kept.pop() if kept else make()
    if not found.alive:
        found.start()
    found.answers = Answers()
    failed = request.session.testsfailed
    yield found
    if request.session.testsfailed == failed:
        kept.append(found)
    else:
        found.worker.kill()


class Requests:
    """Good and bad requests for a model, each with a name and a size of its own."""

    def __init__(self, case):
        self.case, self.numbers = case, itertools.count()
        self.prompt = json.dumps(dict(case.prompt)).encode()
        self.with_prompts = bool(case.prompt)

    def good(self):
        number = next(self.numbers)
        size = (60 + number, 40 + number % 7)
        return Request(f"r{number}", picture(size), self.prompt, size=size)

    def bad(self):
        """One of each kind."""
        image = picture((64, 48))
        spoilt = [
            (image[: len(image) // 2], self.prompt, "bad_image"),
            (b"\0" * 500, self.prompt, "bad_image"),
            (giant(), self.prompt, "image_too_large"),
        ]
        if self.with_prompts:
            spoilt += [(image, prompt, code) for prompt, code in self.case.bad_prompts]
        return [Request(f"r{next(self.numbers)}", *parts) for parts in spoilt]


def picture(size):
    """A bright disc on an uneven ground as a PNG file."""
    y, x = np.mgrid[: size[1], : size[0]]
    disc = np.hypot(x - 30, y - 20) < 13
    buffer = io.BytesIO()
    Image.fromarray(np.where(disc[..., None], (220, 180, 60), (40, 60, 80)).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def until(driver, condition, seconds=180.0):
    """Collects answers until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert driver.worker.poll() is None, f"the worker ended: {driver.said}"
        assert time.monotonic() < end, account(driver)
        driver.collect()
        time.sleep(0.02)


def account(driver):
    """What went wrong, for people."""
    answers = driver.answers
    counts = f"{answers.right} right, {answers.refused} refused"
    return f"{counts}; wrong: {answers.wrong}; lost: {answers.lost()} {answers.cut_off}; {driver.said[-2000:]}"


def check(driver, right):
    assert (driver.answers.right, driver.answers.wrong, driver.answers.lost()) == (right, [], []), account(driver)
    assert "Traceback" not in driver.said


def test_bad_requests_between_good_ones(driver, case):
    requests = Requests(case)
    until(driver, driver.ready)
    mixed = [entry for bad in requests.bad() for entry in (requests.good(), bad, requests.good())]
    for request in mixed:
        driver.send(request)
    until(driver, lambda: not driver.answers.outstanding)
    check(driver, len(mixed))


def test_killed_and_started_again(driver, case):
    """What is on disk or in a stream outlives the worker; on channels and over HTTP the next worker just works."""
    requests = Requests(case)
    until(driver, driver.ready)
    for _ in range(12):
        driver.send(requests.good())
    until(driver, lambda: driver.answers.right >= 2)
    driver.answers.stopping = True
    driver.worker.kill()
    driver.worker.wait()
    if driver.loses_with_worker:
        driver.settle()
        driver.collect()
        driver.answers.forget()
    driver.answers.stopping = False
    driver.start()
    until(driver, driver.ready)
    before = driver.answers.right
    for _ in range(3):
        driver.send(requests.good())
    until(driver, lambda: not driver.answers.outstanding)
    check(driver, before + 3 if driver.loses_with_worker else 15)


def test_terminated_under_load(driver, case):
    """What was begun is answered, the rest stays where the next worker finds it; the exit code is 0."""
    requests = Requests(case)
    until(driver, driver.ready)
    for _ in range(12):
        driver.send(requests.good())
    until(driver, lambda: driver.answers.right >= 1)
    driver.answers.stopping = True
    driver.worker.send_signal(signal.SIGTERM)
    for _ in range(100 if driver.hears_to_the_end else 0):
        driver.send(requests.good())
        time.sleep(0.02)  # between requests of clients that do not know that it stops
        if not driver.alive:
            break
    assert driver.worker.wait(30) == 0, driver.said
    driver.settle()
    driver.collect()
    assert len(driver.answers.lost()) == driver.untouched(), account(driver)
    assert driver.answers.wrong == [], account(driver)
    assert "Traceback" not in driver.said
