"""A request and its answer change hands together, or not at all, wherever the answer should go."""

from __future__ import annotations

import json
import signal

import pytest
from redis import exceptions

from maskworks.errors import TransportError
from maskworks.transports.redis.faults import TargetRefused
from maskworks.transports.redis.handover import Handover
from maskworks.types import Outcome
from tests.support.redis_process import SERVER, entries, message, stream_transport
from tests.support.workplace import wait_for_line, wait_until

pytestmark = pytest.mark.skipif(SERVER is None, reason="redis-server is not installed")

LAST = "18446744073709551615-18446744073709551615"
ALL = ["+@all"]
NO_SCRIPTS = [*ALL, "-eval"]
# Between these two ways the rights of the user decide.
WAYS = pytest.mark.parametrize("commands", [ALL, NO_SCRIPTS], ids=["script", "no scripts"])


def a_string(client, name):
    client.set(name, "text")


def used_up(client, name):
    client.execute_command("XADD", name, LAST, "data", "last")


def forbidden(client, name):
    client.execute_command("ACL", "SETUSER", "default", "resetkeys", "~requests", "~results*")


SPOILED = pytest.mark.parametrize("spoil", [a_string, used_up])


@pytest.fixture
def hand_over(server, client):
    """Hands over the answer to the request 1-1 as a user with these rights."""
    client.xadd("requests", {"data": "request"}, id="1-1")
    client.xgroup_create("requests", "maskworks", "0")
    client.xreadgroup("maskworks", "me", {"requests": ">"})
    users = []

    def hand_over(target, commands=ALL, keys=("requests*", "results*")):
        client.acl_setuser("worker", enabled=True, nopass=True, keys=keys, commands=commands, reset=True)
        users.append(user := server.client(username="worker", password="any"))
        return Handover(user, "requests", "maskworks").give(b"1-1", target, ["XADD", target, "*", "data", "answer"])

    yield hand_over
    for user in users:
        user.close()


def waiting(client):
    return client.xlen("requests"), client.xpending("requests", "maskworks")["pending"]


@WAYS
def test_an_answer_takes_its_request_away_once(client, hand_over, commands):
    assert hand_over("results", commands)
    assert (waiting(client), client.xlen("results")) == ((0, 0), 1)
    assert not hand_over("results", commands)


@WAYS
@SPOILED
def test_a_request_stays_where_its_answer_cannot_go(client, hand_over, commands, spoil):
    spoil(client, "results")
    with pytest.raises(TargetRefused):
        hand_over("results", commands)
    assert waiting(client) == (1, 1)


@WAYS
def test_a_request_stays_where_its_answer_may_not_go(client, hand_over, commands):
    with pytest.raises((TargetRefused, exceptions.NoPermissionError)):
        hand_over("private", commands)
    assert (waiting(client), client.exists("private")) == ((1, 1), 0)


@WAYS
def test_an_answer_does_not_become_a_request(client, hand_over, commands):
    with pytest.raises(TargetRefused):
        hand_over("requests", commands)
    assert waiting(client) == (1, 1)


@WAYS
@pytest.mark.parametrize("missing", ["-xack", "-xdel"])
def test_no_answer_goes_out_for_a_request_that_may_not_be_taken_away(client, hand_over, commands, missing):
    with pytest.raises(exceptions.ResponseError):
        hand_over("results", [*commands, missing])
    assert (waiting(client), client.xlen("results")) == ((1, 1), 0)


@WAYS
def test_an_answer_in_hand_goes_out_although_the_requests_are_gone(client, hand_over, commands):
    client.set("requests", "text")
    assert not hand_over("results", commands)
    client.delete("requests")
    assert not hand_over("results", commands)
    assert client.xlen("results") == 2


@WAYS
@SPOILED
def test_a_reply_to_that_takes_nothing_is_its_requesters_error(server, client, commands, spoil):
    """Each such request used to end a worker, or to vanish."""
    client.acl_setuser("worker", enabled=True, nopass=True, keys=["*"], commands=commands, reset=True)
    spoil(client, "private")
    for name in ("bad", "good", "worse"):
        client.xadd("requests", {"data": message(id=name, **({} if name == "good" else {"reply_to": "private"}))})
    url = f"redis://worker:any@127.0.0.1:{server.port}/0"
    with server.worker("--redis_mode", "stream", "--redis_url", url) as worker:
        wait_until(lambda: client.xlen("requests") == 0 or worker.poll() is not None)
        worker.send_signal(signal.SIGTERM)
        _, said = worker.communicate(timeout=20)
    assert worker.returncode == 0, said
    assert [answer["id"] for answer in entries(client, "results")] == ["good"]
    errors = {answer["id"]: answer["error"] for answer in entries(client, "results_errors")}
    assert {name: error["code"] for name, error in errors.items()} == {"bad": "bad_prompt", "worse": "bad_prompt"}
    assert "reply_to" in errors["bad"]["message"]
    assert ("without +eval" in said) == (commands == NO_SCRIPTS)


@SPOILED
def test_a_stream_of_results_that_is_spoiled_loses_nothing(server, client, spoil):
    client.xadd("requests", {"data": message(id="a")})
    transport = stream_transport(server)
    (job,) = transport.receive(1, 1)
    spoil(client, "results")
    with pytest.raises(TransportError):
        transport.deliver(job, Outcome(parts={"reply": b"{}"}))
    assert waiting(client) == (1, 1)
    transport.give_back(job)
    transport.close()
    with pytest.raises(TransportError, match="the key results "):
        stream_transport(server)


@pytest.mark.parametrize("spoil", [a_string, used_up, forbidden])
def test_what_ends_every_worker_is_answered_although_it_cannot_be_kept(server, client, spoil):
    """A stream of the dead that takes nothing used to make one request end all workers, one after the other."""
    client.xgroup_create("requests", "maskworks", "0", mkstream=True)
    client.xadd("requests", {"data": message(id="deadly")})
    ((_, [(entry, _)]),) = client.xreadgroup("maskworks", "dead", {"requests": ">"})
    client.xclaim("requests", "maskworks", "dead", 0, [entry], idle=2**31 - 1, retrycount=3)
    spoil(client, "requests_dead")
    client.xadd("requests", {"data": message(id="good")})
    with server.worker("--redis_mode", "stream", "--redis_max_deliveries", "3") as worker:
        wait_for_line(worker, "not kept in requests_dead")
        wait_until(lambda: waiting(client) == (0, 0) or worker.poll() is not None)
        assert worker.poll() is None
    (error,) = entries(client, "results_errors")
    assert (error["id"], error["error"]["code"]) == ("deadly", "internal")
    assert [json.loads(fields[b"data"])["id"] for _, fields in client.xrange("results")] == ["good"]
