"""A main loop that stands still is found, one that waits is not: in one process, and by `--check` and `/health`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time

import httpx
import pytest

from maskworks.config import LoopConfig
from maskworks.errors import TransportError
from maskworks.liveness import Liveness
from maskworks.loop import Loop
from maskworks.pipeline import Pipeline
from maskworks.transports.memory import MemoryTransport
from tests.support.bright import Bright
from tests.support.http_process import HttpProcess, form
from tests.support.jobs import a_job
from tests.support.redis_process import SERVER, message
from tests.support.samples import PROMPT, encoded
from tests.support.workplace import WORKER, wait_until

HANGS = json.dumps({**json.loads(PROMPT), "label": 88}).encode()
STEP = 2.0  # seconds without a step that are too long in these tests; a busy machine makes steps slow, too


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Every worker of these tests, and every check, has its heartbeats here."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))


@pytest.fixture
def liveness():
    return Liveness(stuck_after=600, step_seconds=STEP)


class Watch:
    """Runs a loop in a thread and remembers every problem that it had meanwhile."""

    def __init__(self, loop, liveness):
        self.loop, self.liveness, self.problems = loop, liveness, set()
        self.thread = threading.Thread(target=loop.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.thread.join()

    def look(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.problems |= {self.liveness.problem} - {""}
            time.sleep(0.02)


def watched(transport, liveness, stop, predictor=None, **settings):
    pipeline = Pipeline(predictor=predictor or Bright())
    return Watch(Loop(transport, pipeline, LoopConfig(), stop, liveness=liveness, **settings), liveness)


def job(name="a"):
    return a_job(name, encoded(), PROMPT)


class Endless(MemoryTransport):
    """Has no more jobs, but more may come."""

    exhausted = False

    def receive(self, limit, timeout):
        return super().receive(limit, timeout) or time.sleep(timeout) or []


def test_nothing_is_judged_before_the_first_step_and_after_the_end():
    liveness = Liveness(stuck_after=0.001, step_seconds=0.001)
    time.sleep(0.01)
    assert liveness.problem == ""
    liveness.step()
    time.sleep(0.01)
    assert "the main loop has made no step for 0 s" in liveness.problem
    liveness.end()
    assert liveness.problem == ""


def test_the_model_has_a_time_of_its_own():
    liveness = Liveness(stuck_after=0.05, step_seconds=0.001)
    with liveness.in_model():
        time.sleep(0.01)
        assert liveness.problem == ""
        time.sleep(0.05)
        assert "(--stuck_after)" in liveness.problem
    liveness = Liveness(stuck_after=0.001, step_seconds=60)
    with pytest.raises(ValueError, match="the model's"), liveness.in_model():
        raise ValueError("the model's")
    time.sleep(0.01)
    assert liveness.problem == ""


@pytest.mark.slow("waits for longer than a loop may stand still")
def test_a_loop_without_work_lives(liveness):
    stop = threading.Event()
    with watched(Endless(), liveness, stop) as watch:
        watch.look(1.5 * STEP)
        stop.set()
    assert watch.problems == set()


@pytest.mark.slow("waits for longer than a loop may stand still")
def test_a_loop_that_stands_still_beside_the_model_is_found(liveness):
    stop, goes_on = threading.Event(), threading.Event()
    with watched(Endless([job()]), liveness, stop, on_outcome=lambda *_: goes_on.wait(20)):
        try:
            wait_until(lambda: "the main loop has made no step for" in liveness.problem)
        finally:
            goes_on.set()
        wait_until(lambda: not liveness.problem)
        stop.set()


def test_a_model_that_hangs_is_found():
    stop, goes_on, liveness = threading.Event(), threading.Event(), Liveness(stuck_after=0.5)

    class Hanging(Bright):
        def predict(self, requests):
            goes_on.wait(20)
            return super().predict(requests)

    with watched(Endless([job()]), liveness, stop, Hanging()):
        try:
            wait_until(lambda: "the model has been working on a batch" in liveness.problem)
        finally:
            goes_on.set()
        wait_until(lambda: not liveness.problem)
        stop.set()


@pytest.mark.slow("waits for longer than a loop may stand still")
@pytest.mark.parametrize("stopping", [False, True])
def test_a_loop_that_waits_for_its_last_delivery_lives(liveness, stopping):
    """As for a server that is away, also once it is to stop."""
    stop, goes_on = threading.Event(), threading.Event()

    class Away(MemoryTransport):
        def deliver(self, job, outcome):
            if stopping:
                stop.set()
            goes_on.wait(20)
            super().deliver(job, outcome)

    with watched(Away([job()]), liveness, stop) as watch:
        watch.look(1.5 * STEP)
        goes_on.set()
    assert watch.problems == set()


@pytest.mark.slow("waits for longer than a loop may stand still")
def test_the_pause_of_a_patient_loop_is_no_standstill(liveness):
    stop = threading.Event()

    class Broken(Endless):
        def receive(self, limit, timeout):
            raise TransportError("the folder is away")

    with watched(Broken(), liveness, stop, patient=True) as watch:
        watch.look(3 * STEP)  # pauses of 1, 2 and 4 seconds
        stop.set()
    assert watch.problems == set()


@pytest.mark.slow("waits for longer than a loop may stand still")
def test_a_long_wait_for_more_of_a_batch_is_no_standstill(liveness):
    stop = threading.Event()
    config = LoopConfig(batch_size=2, batch_wait_ms=60_000)
    loop = Loop(Endless([job()]), Pipeline(predictor=Bright()), config, stop, liveness=liveness)
    with Watch(loop, liveness) as watch:
        watch.look(1.5 * STEP)
        stop.set()
    assert watch.problems == set()


def check(command, *kind):
    """Exit code and message of `--check`."""
    result = subprocess.run(
        [sys.executable, str(WORKER), "--check", *kind],
        env={**os.environ, "BRIGHT_COMMAND": command},
        capture_output=True,
        text=True,
        check=False,
    )
    return result.returncode, result.stderr


def assert_found_stuck(command):
    wait_until(lambda: "stuck: the model has been working" in check(command)[1], 60)
    code, said = check(command, "live")
    assert (code, "(--stuck_after)" in said) == (1, True)
    assert check(command)[0] == 1


def wait_until_well(command):
    wait_until(lambda: check(command) == (0, ""), 60)


@pytest.mark.slow("starts processes")
def test_a_folder_worker_whose_model_hangs_is_unhealthy(folders):
    with folders.start("--continuous", "--stuck_after", "1") as worker:
        wait_until_well("poll")
        folders.add("a.png", prompt=HANGS)
        assert_found_stuck("poll")
        worker.kill()


@pytest.mark.slow("starts processes")
@pytest.mark.skipif(SERVER is None, reason="redis-server is not installed")
def test_a_redis_worker_whose_model_hangs_is_unhealthy(server, client):
    with server.worker("--stuck_after", "1"):
        wait_until_well("redis")
        client.publish("requests", message(label=88))
        assert_found_stuck("redis")


@pytest.mark.slow("starts processes")
def test_a_server_whose_model_hangs_is_unhealthy():
    server = HttpProcess("--stuck_after", "1", "--request_timeout", "1")
    try:
        wait_until_well("http")
        with server.client() as client:
            assert (client.get("/health").status_code, client.get("/health").json()) == (200, {"status": "ok"})
            assert client.post("/predict", files=form(prompt=HANGS)).status_code == 504
            wait_until(lambda: client.get("/health").status_code == 503)
            found: httpx.Response = client.get("/health")
            assert found.json()["status"] == "stuck"
            assert "the model has been working on a batch" in found.json()["reason"]
            assert client.get("/ready").status_code == 503
        assert_found_stuck("http")
    finally:
        server.kill()


@pytest.mark.slow("waits for longer than a loop may stand still")
@pytest.mark.skipif(SERVER is None, reason="redis-server is not installed")
@pytest.mark.parametrize("mode", ["pubsub", "stream"])
def test_a_worker_whose_server_is_away_lives(server, client, mode, monkeypatch):
    monkeypatch.setenv("BRIGHT_STEP_SECONDS", "5")
    with server.worker("--redis_mode", mode):
        wait_until_well("redis")
        server.stop()
        gone = time.monotonic()
        wait_until(lambda: check("redis")[0] == 1, 60)
        while time.monotonic() - gone < 8:
            assert check("redis", "live") == (0, "")
            time.sleep(1)
        server.start()
        wait_until_well("redis")
