"""A rush begins with many bytes at once and passes by itself; what is held back meanwhile is not lost."""

from __future__ import annotations

import threading

import pytest
from redis_process import SERVER
from workplace import wait_until

from segkit.config import RedisConfig
from segkit.transports.redis_pubsub import PubSubTransport
from segkit.transports.rush import Rush
from segkit.types import Outcome


def test_small_messages_are_no_rush():
    rush = Rush()
    for _ in range(10):
        rush.note(10_000)
    assert rush.rest == 0


def test_a_rush_passes():
    rush = Rush()
    for _ in range(100):
        rush.note(1_000_000)
    assert 0 < rush.rest < 0.1
    wait_until(lambda: rush.rest == 0)


@pytest.mark.skipif(SERVER is None, reason="redis-server is not installed")
def test_one_job_at_a_time_while_messages_rush_in(server, client, monkeypatch):
    transport = PubSubTransport(RedisConfig(redis_port=server.port, redis_in="in", redis_out="out"), threading.Event())
    try:
        wait_until(lambda: client.pubsub_numpat() > 0)
        for number in range(3):
            client.publish("in", b"%d" % number)
        wait_until(lambda: transport.backlog == 3)
        rest = [1.0]
        monkeypatch.setattr(Rush, "rest", property(lambda rush: rest[0]))
        (first,) = transport.receive(8, 1.0)
        assert transport.receive(8, 0.01) == []
        transport.deliver(first, Outcome(parts={"reply": b"done"}))
        (second,) = transport.receive(8, 1.0)
        rest[0] = 0.0
        (third,) = transport.receive(8, 1.0)
    finally:
        transport.close()
    assert [bytes(job.body) for job in (first, second, third)] == [b"0", b"1", b"2"]
