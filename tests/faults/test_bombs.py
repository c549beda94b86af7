"""Every transport while images are decoded that make a decoder work for as long as it may."""

from __future__ import annotations

import shutil
import signal
import time
from contextlib import ExitStack

import pytest

from tests.support.answers import Answers
from tests.support.bombs import progressive_jpeg
from tests.support.bright_subject import BrightSubject
from tests.support.drivers import DRIVERS
from tests.support.requests import Request
from tests.support.samples import PROMPT, encoded

pytestmark = pytest.mark.slow("starts workers and keeps their decoders busy")

BOMB = progressive_jpeg(200_000)
"""More seconds of work than any worker gives it here."""


@pytest.fixture(params=DRIVERS)
def start(request, tmp_path):
    """Starts a worker whose decoders may take so many seconds for an image."""
    if request.param in ("channels", "streams") and shutil.which("redis-server") is None:
        pytest.skip("redis-server is missing")
    with ExitStack() as stack:

        def start(seconds):
            subject = BrightSubject(name="bright", flags=("--decode_timeout", str(seconds)), suffix=".points")
            driver = DRIVERS[request.param](subject, tmp_path / "run", stack)
            until(driver, driver.ready)
            return driver

        yield start


def until(driver, condition, seconds=120.0):
    """Collects answers until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert driver.alive, driver.said
        assert time.monotonic() < end, (driver.answers, driver.said)
        driver.collect()
        time.sleep(0.02)


def bomb(number):
    return Request(f"a-bomb{number}", BOMB, PROMPT, code="image_too_large")


def good(number):
    return Request(f"good{number}", encoded(), PROMPT, size=(24, 16))


@pytest.mark.parametrize("bombs", [8, 40])
def test_good_requests_are_answered_while_bombs_are_decoded(start, bombs):
    driver = start(seconds=300)
    for number in range(bombs):
        driver.send(bomb(number))
    others = driver.answers = Answers()
    for number in range(5):
        driver.send(good(number))
    until(driver, lambda: not others.outstanding)
    assert (others.right, others.wrong) == (5, [])


def test_a_bomb_is_answered_once_its_time_is_over(start):
    driver = start(seconds=0.6)
    driver.send(bomb(0))
    driver.send(good(0))
    until(driver, lambda: not driver.answers.outstanding)
    assert (driver.answers.right, driver.answers.wrong) == (2, [])
    assert driver.untouched() == 0


def test_a_worker_ends_while_bombs_are_decoded(start):
    """They are told to come again, or stay where the next worker finds them."""
    driver = start(seconds=300)
    for number in range(3):
        driver.send(bomb(number))
    for number in range(2):
        driver.send(good(number))
    until(driver, lambda: driver.answers.right == 2)
    driver.answers.stopping = True
    driver.worker.send_signal(signal.SIGTERM)
    assert driver.worker.wait(60) == 0, driver.said
    driver.settle()
    driver.collect()
    assert len(driver.answers.lost()) == driver.untouched(), (driver.answers, driver.said)
    assert driver.answers.wrong == []
