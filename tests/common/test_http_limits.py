"""Overload, time limits, the token, starting and stopping."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.http_process import HttpProcess, form, metric
from tests.support.samples import encoded
from tests.support.workplace import WORKER, wait_until

pytestmark = pytest.mark.slow("starts processes")


def codes(answers):
    return [200 if answer.status_code == 200 else answer.json()["error"]["code"] for answer in answers]


def send_many(server, number, **keys):
    with (
        server.client(limits=httpx.Limits(max_connections=number)) as client,
        ThreadPoolExecutor(number) as pool,
    ):
        keys = keys or {"files": form()}
        return list(pool.map(lambda _: client.post("/predict", **keys), range(number)))


def test_too_many_requests_are_told_to_come_back():
    server = HttpProcess("--max_waiting", "5", seconds=0.3)
    answers = send_many(server, 20)
    assert server.stop() == 0
    refused = [answer for answer in answers if answer.status_code != 200]
    assert set(codes(refused)) == {"overloaded"}
    assert {answer.status_code for answer in refused} == {503}
    assert all(answer.headers["retry-after"] == "1" for answer in refused)
    assert 5 <= len(answers) - len(refused) < 20
    assert len([line for line in server.said if "overloaded" in line]) == 1  # however many there are


def test_too_many_bytes_are_told_to_come_back():
    server = HttpProcess("--queue_bytes", "1000000", seconds=0.3)
    heavy = encoded() + bytes(400_000)  # a small image, followed by what nobody reads
    answers = send_many(server, 12, files=form(heavy))
    assert send_many(server, 1, files=form(bytes(2_000_000)))[0].json()["error"]["code"] == "bad_image"  # alone it fits
    assert server.stop() == 0
    assert set(codes(answers)) == {200, "overloaded"}


def test_an_answer_that_takes_too_long_becomes_an_error():
    server = HttpProcess("--request_timeout", "1", seconds=0.3)
    answers = send_many(server, 8)
    with server.client() as client:
        wait_until(lambda: client.post("/predict", files=form()).status_code == 200)
    assert server.stop() == 0
    assert set(codes(answers)) == {200, "timed_out"}
    assert {answer.status_code for answer in answers} == {200, 504}


def test_batches_form_across_clients():
    server = HttpProcess("--batch_size", "8", "--batch_wait_ms", "300", seconds=0.01)
    answers = send_many(server, 8)
    assert codes(answers) == [200] * 8
    # Each image takes 10 ms, and `predict` is the time of the batch that it was in.
    assert max(answer.json()["meta"]["timing_ms"]["predict"] for answer in answers) >= 20
    assert server.stop() == 0


def test_a_token_is_asked_for_where_work_is_done():
    server = HttpProcess("--token_env", "SECRET", env={"SECRET": "open sesame"})
    with server.client() as client:
        for shown in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic open sesame"}):
            answer = client.post("/predict", files=form(), headers=shown)
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthorized")
            assert answer.headers["www-authenticate"] == "Bearer"
            assert client.get("/metrics", headers=shown).status_code == 401
        right = {"Authorization": "Bearer open sesame"}
        assert client.post("/predict", files=form(), headers=right).status_code == 200
        assert client.get("/metrics", headers=right).status_code == 200
        assert client.get("/health").status_code == client.get("/").status_code == 200
        document = client.get("/openapi.json").json()
        assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
        assert document["paths"]["/predict"]["post"]["security"] == [{"token": []}]
    assert server.stop() == 0
    assert not [line for line in server.said if "sesame" in line]


def test_a_token_may_have_any_characters():
    """Clients such as curl send what was typed, in UTF-8; the last byte of this one alone would be a space."""
    server = HttpProcess("--token_env", "SECRET", env={"SECRET": "clé voilà"})
    with server.client() as client:
        for shown, status in [("Bearer clé voilà".encode(), 200), (b"Bearer cl\xe9 voil\xe0", 401), (b"\xff\xc2", 401)]:
            assert client.get("/metrics", headers={"Authorization": shown}).status_code == status
    assert server.stop() == 0


def test_all_wrong_flags_are_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for flags, problems in [
            (
                ["--token_env", "NOT_SET", "--port", "70000", "--max_waiting", "0"],
                ["NOT_SET", "70000", "--max_waiting"],
            ),
            (["--port", port], [f"localhost:{port}: Address already in use"]),
            (["--host", "192.0.2.1"], ["192.0.2.1:8888"]),
        ]:
            command = [sys.executable, WORKER, *flags]
            environment = {**os.environ, "BRIGHT_COMMAND": "http"}
            done = subprocess.run(command, env=environment, capture_output=True, check=False)
            assert done.returncode == 2
            assert all(problem in done.stderr.decode() for problem in problems), done.stderr


def test_stopping_answers_what_has_arrived():
    server = HttpProcess(seconds=0.2)
    with server.client(limits=httpx.Limits(max_connections=10)) as client, ThreadPoolExecutor(10) as pool:
        pending = [pool.submit(client.post, "/predict", files=form()) for _ in range(10)]
        wait_until(lambda: arrived(server) == 11)  # with the server's own, which shows that it is ready
        server.process.send_signal(signal.SIGTERM)
        answers = [answer.result() for answer in pending]
    assert codes(answers) == [200] * 10
    assert server.process.wait(20) == 0
    assert server.stop() == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/health")


def arrived(server) -> float:
    """Requests that were read in full, whatever became of them."""
    names = ("results_total", "waiting_requests", "requests_in_flight")
    return sum(metric(server, f"maskworks_{name}") for name in names)


def test_idle_connections_do_not_hold_up_the_end():
    server = HttpProcess()
    with server.client() as client:
        client.get("/health")
        start = time.monotonic()
        assert server.stop() == 0
    assert time.monotonic() - start < 10
