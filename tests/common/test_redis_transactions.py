"""A server whose memory is full: it refuses requests, but workers go on answering those that it has."""

from __future__ import annotations

import pytest
import redis
from redis import exceptions

from maskworks.errors import GaveUp
from maskworks.transports.redis.transactions import write
from maskworks.types import Outcome
from tests.support.redis_process import SERVER, entries, message, stream_transport
from tests.support.workplace import wait_until

pytestmark = pytest.mark.skipif(SERVER is None, reason="redis-server is not installed")


def answered(client):
    return {answer["id"] for stream in ("results", "results_errors") for answer in entries(client, stream)}


def full_server(client):
    """No more memory for anything, however little it holds."""
    client.config_set("maxmemory", "100kb")
    with pytest.raises(exceptions.OutOfMemoryError):
        client.xadd("requests", {"data": message(id="refused")})


def test_workers_empty_a_full_server(server, client):
    for name in "abc":
        client.xadd("requests", {"data": message(id=name)})
    client.xadd("requests", {"data": message(b"no image", id="bad")})
    full_server(client)
    with server.worker("--redis_mode", "stream") as worker:  # which even makes the group
        wait_until(lambda: client.xlen("requests") == 0)
        assert answered(client) == {"a", "b", "c", "bad"}
        client.config_set("maxmemory", 0)
        client.xadd("requests", {"data": message(id="d")})
        wait_until(lambda: "d" in answered(client))
        assert worker.poll() is None


def test_a_full_server_keeps_what_ends_every_worker(server, client):
    client.xgroup_create("requests", "maskworks", "0", mkstream=True)
    client.xadd("requests", {"data": message(id="deadly"), **{f"field{number}": b"x" for number in range(5000)}})
    ((_, [(entry, _)]),) = client.xreadgroup("maskworks", "dead", {"requests": ">"})
    client.xclaim("requests", "maskworks", "dead", 0, [entry], idle=2**31 - 1, retrycount=3)
    full_server(client)
    transport = stream_transport(server)
    (job,) = transport.receive(1, 1)
    transport.deliver(job, Outcome(error=job.error))
    assert (client.xlen("requests_dead"), client.xlen("results_errors"), client.xlen("requests")) == (1, 1, 0)
    transport.close()


def test_a_full_server_that_does_not_let_its_user_go_beyond(server, client):
    client.xadd("requests", {"data": message(id="a")})
    transport = stream_transport(server, redis_give_up=0)
    (job,) = transport.receive(1, 1)
    client.acl_setuser("default", enabled=True, commands=["-eval"])
    full_server(client)
    with pytest.raises(GaveUp, match=r"raise maxmemory, .* \+eval"):
        transport.deliver(job, Outcome(parts={"reply": b"{}"}))
    assert client.xlen("requests") == 1
    transport.close()


def test_a_server_that_is_full_only_when_the_last_command_comes(client, monkeypatch):
    """Its words; that others fill it between two commands of one message cannot be arranged."""
    words = ["Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.", "of others"]

    def execute(pipeline):
        raise exceptions.ExecAbortError(words.pop(0))

    monkeypatch.setattr(redis.client.Pipeline, "execute", execute)
    write(client, ["results"], ["XADD", "results", "*", b"data", b"\x00\xff"])
    assert client.xrange("results")[0][1] == {b"data": b"\x00\xff"}
    with pytest.raises(exceptions.ExecAbortError):
        write(client, ["results"], ["XADD", "results", "*", b"data", b"again"])
