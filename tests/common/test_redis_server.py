from __future__ import annotations

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import exceptions

from maskworks.config import RedisConfig, RedisServerConfig
from maskworks.errors import GaveUp, TransportError
from maskworks.transports.redis import last_tries
from maskworks.transports.redis import server as redis_server
from maskworks.transports.redis.server import RedisServer, answer
from maskworks.types import Outcome
from tests.support.redis_process import SERVER

CONFIG = RedisConfig(redis_in="requests", redis_out="results")
IN_PIPELINE = "Command # 1 (XADD out) of pipeline caused error: "


class Command:
    """Fails with these errors, one after the other, then works."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.sent = []

    def __call__(self, *arguments):
        self.sent.append(arguments)
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.fixture
def away():
    """Of a server that is never asked."""
    return RedisServer(CONFIG, threading.Event())


@pytest.mark.parametrize(
    "error",
    [
        exceptions.ConnectionError("gone"),
        exceptions.ResponseError("MISCONF Redis is configured to save RDB snapshots, but ..."),
        exceptions.ResponseError(f"{IN_PIPELINE}NOREPLICAS Not enough good replicas to write."),
        exceptions.ResponseError("BUSY Redis is busy running a script"),
        exceptions.MasterDownError("Link with MASTER is down"),
    ],
)
def test_what_passes_is_waited_for(away, error):
    assert away.retry(Command(error)) == "done"


@pytest.mark.parametrize(
    "error",
    [exceptions.ResponseError("BUSYGROUP exists"), exceptions.NoPermissionError("no"), exceptions.ResponseError("x")],
)
def test_what_does_not_pass_is_an_error(away, error):
    with pytest.raises(TransportError):
        away.retry(Command(error))


def test_a_requester_is_not_blamed_for_the_servers_troubles(away):
    outcome = Outcome(parts={"reply": b"result"}, reply_to="private")
    send = Command(exceptions.ResponseError("BUSY Redis is busy running a script"))
    answer(away, outcome, CONFIG, send)
    assert send.sent == [("private", b"result")] * 2
    with pytest.raises(TransportError):
        answer(away, outcome, CONFIG, Command(exceptions.ResponseError("ERR something else")))


@pytest.mark.parametrize(
    "error", [exceptions.NoPermissionError("no"), exceptions.ResponseError(f"{IN_PIPELINE}WRONGTYPE Operation against")]
)
def test_an_answer_that_cannot_go_where_it_is_wanted_goes_where_errors_go(away, error):
    send = Command(error)
    answer(away, Outcome(parts={"reply": b"result"}, reply_to="private"), CONFIG, send)
    assert send.sent[1][0] == "results_errors"
    assert b"reply_to" in send.sent[1][1]


def test_an_answer_that_no_server_takes_is_an_error_that_it_takes(away, monkeypatch):
    """The server closes the connection on it, so it would be sent for ever."""
    monkeypatch.setattr(redis_server, "_LONGEST", 5)
    send = Command()
    answer(away, Outcome(parts={"reply": b"result"}, id="large"), CONFIG, send)
    answer(away, Outcome(parts={"reply": b"small"}), CONFIG, send)
    assert [target for target, _ in send.sent] == ["results_errors", "results"]
    assert b"image_too_large" in send.sent[0][1]


@pytest.mark.skipif(SERVER is None, reason="redis-server is not installed")
def test_what_is_large_has_more_time(server, monkeypatch):
    monkeypatch.setattr(redis_server, "_ANSWER_SECONDS", 0.1)
    ours = RedisServer(RedisServerConfig(redis_port=server.port), threading.Event())
    server.process.send_signal(signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(1) as threads:
            sent = threads.submit(ours.sender.publish, "results", b"large")
            with pytest.raises(GaveUp, match="no answer in time"):
                ours.check()
            assert not sent.done()
            server.process.send_signal(signal.SIGCONT)
            assert sent.result(30) == 0
    finally:
        server.process.send_signal(signal.SIGCONT)
        ours.close()


def test_the_url_says_how_long_to_wait():
    ours = RedisServer(RedisServerConfig(redis_url="redis://localhost?socket_timeout=99"), threading.Event())
    for client in (ours.client, ours.sender):
        assert client.connection_pool.make_connection().socket_timeout == 99


def test_once_it_is_to_stop_all_give_up_together(away, monkeypatch):
    monkeypatch.setattr(last_tries, "_SECONDS", 0.05)
    away._stop.set()
    with pytest.raises(GaveUp, match="slow line"):
        away.retry(Command(*[exceptions.TimeoutError("slow line")] * 100))
    unasked = Command()
    with pytest.raises(GaveUp, match="slow line"):
        away.retry(unasked)
    assert unasked.sent == []


def test_once_it_is_to_stop_a_large_message_is_not_sent_again(away, monkeypatch):
    monkeypatch.setattr(last_tries, "_SECONDS", 0.05)
    away._stop.set()
    tries = []

    def send():
        tries.append(time.sleep(0.1))  # a try that takes longer than what is left
        raise exceptions.TimeoutError("slow line")

    with pytest.raises(GaveUp, match="slow line"):
        away.retry(send)
    assert len(tries) == 1
