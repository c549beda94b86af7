from __future__ import annotations

import threading

import pytest
from redis import exceptions

from segkit.config import RedisConfig
from segkit.errors import TransportError
from segkit.transports.redis_server import RedisServer, answer
from segkit.types import Outcome

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
def server():
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
def test_what_passes_is_waited_for(server, error):
    assert server.insist(Command(error)) == "done"


@pytest.mark.parametrize(
    "error",
    [exceptions.ResponseError("BUSYGROUP exists"), exceptions.NoPermissionError("no"), exceptions.ResponseError("x")],
)
def test_what_does_not_pass_is_an_error(server, error):
    with pytest.raises(TransportError):
        server.insist(Command(error))


def test_a_requester_is_not_blamed_for_the_servers_troubles(server):
    outcome = Outcome(parts={"reply": b"result"}, reply_to="private")
    send = Command(exceptions.ResponseError("BUSY Redis is busy running a script"))
    answer(server, outcome, CONFIG, send)
    assert send.sent == [("private", b"result")] * 2
    with pytest.raises(TransportError):
        answer(server, outcome, CONFIG, Command(exceptions.ResponseError("ERR something else")))


@pytest.mark.parametrize(
    "error", [exceptions.NoPermissionError("no"), exceptions.ResponseError(f"{IN_PIPELINE}WRONGTYPE Operation against")]
)
def test_an_answer_that_cannot_go_where_it_is_wanted_goes_where_errors_go(server, error):
    send = Command(error)
    answer(server, Outcome(parts={"reply": b"result"}, reply_to="private"), CONFIG, send)
    assert send.sent[1][0] == "results_errors"
    assert b"reply_to" in send.sent[1][1]
