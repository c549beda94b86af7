"""Work that has begun is given up when nobody waits for it any more, and holds nobody else up: real workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.chunks import ENDLESS
from tests.support.http_process import HttpProcess, form
from tests.support.redis_process import Listener, RedisProcess, message
from tests.support.samples import PROMPT
from tests.support.workplace import Folders, wait_until

CHUNKS = str(Path(__file__).parents[1] / "support" / "chunks.py")
DEAR = json.dumps({**json.loads(PROMPT), "label": ENDLESS}).encode()


@pytest.fixture
def server():
    process = HttpProcess("--request_timeout", "2", command=(sys.executable, CHUNKS))
    yield process
    assert process.stop() == 0, process.said


def given_up(server):
    return "given up: dear\n" in server.said


@pytest.mark.slow("waits for a time limit of two seconds")
def test_http_work_ends_with_its_deadline_and_others_do_not_wait_for_it(server):
    with server.client() as dear, server.client() as good:
        with dear.stream("POST", "/predict?id=dear", files=form(prompt=DEAR)) as answer:
            assert answer.status_code == 504
        wait_until(lambda: given_up(server), 20)
        assert good.post("/predict", files=form()).status_code == 200


def begin(server):
    """A connection whose request the model works on without end."""
    connection = server.connect()
    body = DEAR.decode().replace('"', "%22").replace(" ", "")
    head = f"POST /predict?id=dear&prompt={body} HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
    image = form()["image"][1]
    connection.sendall(head.encode() + f"{len(image)}\r\n\r\n".encode() + image)
    wait_until(lambda: "begun: dear\n" in server.said, 20)
    return connection


@pytest.mark.slow("starts a server")
def test_http_work_ends_when_its_client_has_gone(server):
    with begin(server), server.client() as good:
        assert good.post("/predict", files=form()).status_code == 200
        assert not given_up(server)
    wait_until(lambda: given_up(server), 20)


@pytest.mark.slow("starts a server, and waits for a time limit of two seconds")
def test_an_http_server_ends_although_work_has_begun(server):
    with begin(server) as connection:
        server.process.send_signal(signal.SIGTERM)
        connection.settimeout(30)
        assert connection.recv(1000).startswith(b"HTTP/1.1 504")
    assert server.process.wait(30) == 0
    wait_until(lambda: given_up(server), 20)


@pytest.fixture
def redis_server(tmp_path):
    server = RedisProcess(tmp_path)
    yield server
    server.stop()


@contextmanager
def started(command, **env):
    """A worker that does not outlive the block."""
    worker = subprocess.Popen(command, env={**os.environ, **env}, stderr=subprocess.PIPE, text=True)
    try:
        yield worker
    finally:
        worker.kill()
        worker.communicate()


def redis_worker(redis_server, *flags):
    channels = ["--redis_in", "requests", "--redis_out", "results", "--redis_port", str(redis_server.port)]
    return started([sys.executable, CHUNKS, *channels, *flags], BRIGHT_COMMAND="redis")


def begun(worker):
    """Whether the model has begun with the request without end; waits for that, or for the end of the worker."""
    return any("begun: dear" in line for line in worker.stderr)


def stop(worker):
    worker.send_signal(signal.SIGTERM)
    _, said = worker.communicate(timeout=60)
    assert worker.returncode == 0, said
    assert "given up: dear" in said


@pytest.mark.slow("starts a Redis server and workers")
def test_an_entry_of_a_stream_goes_back_when_the_worker_stops(redis_server):
    client = redis_server.client()
    with redis_worker(redis_server, "--redis_mode", "stream") as worker:
        client.xadd("requests", {"data": message(id="dear", label=ENDLESS, reply_to="a")})
        assert begun(worker)
        client.xadd("requests", {"data": message(id="good", reply_to="b")})
        wait_until(lambda: client.xlen("b") == 1, 60)
        stop(worker)
    assert client.xpending("requests", "maskworks")["pending"] == 1
    assert client.xlen("requests") == 1
    assert not client.exists("a", "results", "results_errors")
    with redis_server.worker("--redis_mode", "stream"):  # of a model that has an end
        wait_until(lambda: client.xlen("a") == 1, 60)


@pytest.mark.slow("starts a Redis server and a worker, which has eight seconds to end")
def test_a_request_from_a_channel_is_answered_when_the_worker_stops(redis_server):
    client = redis_server.client()
    listener = Listener(client, "results", "results_errors")
    with redis_worker(redis_server) as worker:
        wait_until(lambda: client.publish("requests", message(id="dear", label=ENDLESS)), 60)
        assert begun(worker)
        client.publish("requests", message(id="good"))
        assert [answer["id"] for answer in listener.answers(1)] == ["good"]
        stop(worker)
    (answer,) = listener.answers(1)
    listener.close()
    assert (answer["id"], answer["error"]["code"]) == ("dear", "overloaded")


@pytest.mark.slow("starts a worker")
def test_an_image_goes_back_to_its_folder_when_the_worker_stops(tmp_path):
    folders = Folders(tmp_path)
    folders.inputs.mkdir()
    folders.out.mkdir()
    folders.add("dear.png", prompt=DEAR)
    command = [sys.executable, CHUNKS, *folders.command("--continuous", "--poll_wait", "0.1")[2:]]
    with started(command) as worker:
        assert begun(worker)
        folders.add("good.png")
        wait_until(lambda: "good.json" in folders.names(), 60)
        stop(worker)
    assert {"dear.png", "dear.points"} <= folders.names(folders.inputs)
