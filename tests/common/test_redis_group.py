"""The consumers of a group: nobody stays who has ended, and nobody is taken out who has something in hand."""

from __future__ import annotations

import logging

import pytest

from maskworks.transports.redis import memory
from maskworks.types import Outcome
from tests.support.redis_process import SERVER, message, stream_transport
from tests.support.workplace import wait_for_line, wait_until

pytestmark = pytest.mark.skipif(SERVER is None, reason="redis-server is not installed")


def consumers(client):
    """What each has in hand."""
    found = client.xinfo_consumers("requests", "maskworks")
    return {consumer["name"].decode(): consumer["pending"] for consumer in found}


def test_who_ends_well_leaves_the_group_although_work_was_given_back(server, client):
    for number in range(8):
        client.xadd("requests", {"data": message(id=str(number))})
    for _ in range(5):
        transport = stream_transport(server)
        for job in transport.receive(4, 1):
            transport.give_back(job)
        transport.close()
    assert consumers(client) == {"given-back": 4}  # the same four each time
    transport = stream_transport(server)
    jobs = [*transport.receive(8, 1), *transport.receive(8, 1)]
    assert len(jobs) == 8
    for job in jobs:
        transport.deliver(job, Outcome(parts={"reply": b"{}"}))
    transport.close()
    assert consumers(client) == {"given-back": 0}


def test_the_dead_are_forgotten_once_nothing_of_theirs_is_left(server, client):
    client.xgroup_create("requests", "maskworks", "0", mkstream=True)
    client.xgroup_createconsumer("requests", "maskworks", "dead")
    client.xadd("requests", {"data": message(id="a")})
    client.xreadgroup("maskworks", "dead with work", {"requests": ">"})
    living = stream_transport(server, redis_consumer="living", redis_claim_idle=0.1)
    (job,) = work(living, lambda: "dead" not in consumers(client))  # the work is taken over, then forgotten who had it
    work(living, lambda: "dead with work" not in consumers(client))
    assert consumers(client) == {"living": 1}
    living.deliver(job, Outcome(parts={"reply": b"{}"}))
    living.close()
    assert consumers(client) == {}


def test_who_has_something_in_hand_is_never_forgotten(server, client):
    client.xgroup_create("requests", "maskworks", "0", mkstream=True)
    client.xadd("requests", {"data": message(id="a")})
    client.xreadgroup("maskworks", "slow", {"requests": ">"})
    client.xgroup_createconsumer("requests", "maskworks", "gone")
    other = stream_transport(server)
    wait_until(lambda: min(found["idle"] for found in client.xinfo_consumers("requests", "maskworks")) >= 1)
    other._group.forget(1)
    assert consumers(client) == {"slow": 1}
    other.close()


def work(transport, ended):
    """Receives until something is true; what came."""
    jobs = []

    def step():
        jobs.extend(transport.receive(8, 0.05))
        return ended()

    wait_until(step)
    return jobs


@pytest.mark.parametrize("loss", ["flushall", "delete"])
def test_a_stream_that_vanishes_is_said_to(server, client, loss):
    client.xadd("requests", {"data": message(id="before")})
    with server.worker("--redis_mode", "stream") as worker:
        wait_until(lambda: client.xlen("results") == 1)
        client.flushall() if loss == "flushall" else client.delete("requests")
        assert "requests: the stream or its group is gone" in wait_for_line(worker, "is gone")
        client.xadd("requests", {"data": message(id="after")})
        wait_until(lambda: client.xlen("results") == (1 if loss == "flushall" else 2))


def test_an_answer_to_an_entry_that_vanished_is_given_and_said(server, client, caplog):
    client.xadd("requests", {"data": message(id="a")})
    transport = stream_transport(server)
    (job,) = transport.receive(1, 1)
    client.flushall()
    transport.deliver(job, Outcome(parts={"reply": b"{}"}))
    transport.close()
    assert client.xlen("results") == 1
    assert "no longer in requests" in caplog.text


def test_a_server_that_drops_requests_when_it_is_full_is_warned_of(server, client, caplog):
    client.config_set("maxmemory", "100mb")
    for policy, warned in (("noeviction", False), ("allkeys-lru", True)):
        client.config_set("maxmemory-policy", policy)
        transport = stream_transport(server)
        transport.receive(1, 0.01)
        transport.close()
        assert ("drops keys" in caplog.text) == warned
    assert "maxmemory-policy allkeys-lru" in caplog.text


def test_answers_that_keep_a_server_full_are_named_once_each_time(server, client, caplog, monkeypatch):
    monkeypatch.setattr(memory, "_EVERY", 0.0)
    for _ in range(3):
        client.xadd("results", {"data": b"an answer that nobody has read"})
    transport = stream_transport(server)
    for limit in ("100kb", "0", "100kb"):
        client.config_set("maxmemory", limit)
        for _ in range(3):
            transport.receive(1, 0.01)
    transport.close()
    said = [record.message for record in caplog.records if "memory is full" in record.message]
    assert len(said) == 2
    assert "3 in results, 0 in results_errors, kept until they are 10000 (--redis_maxlen)" in said[0]


def test_who_may_not_ask_for_the_memory_is_not_bothered(server, client, caplog):
    client.acl_setuser("default", enabled=True, commands=["-info"])
    with caplog.at_level(logging.DEBUG, "maskworks"):
        transport = stream_transport(server)
        for _ in range(3):
            transport.receive(1, 0.01)
        transport.close()
    assert [record.levelno for record in caplog.records if "its memory" in record.message] == [logging.DEBUG]
