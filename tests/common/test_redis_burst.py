"""A burst begins with many bytes at once and passes by itself; what is held back meanwhile is not lost."""

from __future__ import annotations

import threading

import pytest
from redis.exceptions import ConnectionError

from maskworks.config import RedisConfig
from maskworks.formats import PromptMessages
from maskworks.transports.redis.burst import Burst
from maskworks.transports.redis.listener import Listener
from maskworks.transports.redis.pubsub import PubSubTransport
from tests.support.redis_process import SERVER
from tests.support.workplace import wait_until


def test_small_messages_are_no_burst():
    burst = Burst()
    for _ in range(10):
        burst.note(10_000)
    assert burst.rest == 0


def test_a_burst_passes():
    burst = Burst()
    for _ in range(100):
        burst.note(1_000_000)
    assert 0 < burst.rest < 0.1
    wait_until(lambda: burst.rest == 0)


def test_a_message_that_takes_long_to_arrive_is_a_burst():
    burst = Burst()
    burst.begin()
    wait_until(lambda: burst.rest > 0)
    burst.note(10)
    assert burst.rest == 0


@pytest.mark.skipif(SERVER is None, reason="redis-server is not installed")
def test_jobs_are_held_back_while_messages_rush_in(server, client, monkeypatch):
    transport = PubSubTransport(
        RedisConfig(redis_port=server.port, redis_in="in", redis_out="out"), PromptMessages(), threading.Event()
    )
    try:
        wait_until(lambda: client.pubsub_numpat() > 0)
        for number in range(3):
            client.publish("in", b"%d" % number)
        wait_until(lambda: transport.backlog == 3)
        rest = [0.02]
        monkeypatch.setattr(Burst, "rest", property(lambda burst: rest[0]))
        (first,) = transport.receive(8, 0.05)
        rest[0] = 0.0
        rest_of_them = transport.receive(8, 0.05)
    finally:
        transport.close()
    assert [bytes(job.body) for job in (first, *rest_of_them)] == [b"0", b"1", b"2"]


@pytest.mark.skipif(SERVER is None, reason="redis-server is not installed")
def test_a_message_that_breaks_off_is_no_endless_burst(server, client, monkeypatch):
    stop = threading.Event()

    def broken(listener):
        stop.set()  # so that no later message ends the burst
        raise ConnectionError("in the middle of a message")

    monkeypatch.setattr(Listener, "receive", broken)
    transport = PubSubTransport(
        RedisConfig(redis_port=server.port, redis_in="in", redis_out="out"), PromptMessages(), stop
    )
    try:
        wait_until(lambda: client.pubsub_numpat() > 0)
        client.publish("in", b"0")
        wait_until(stop.is_set)
        wait_until(lambda: transport._burst.rest == 0)
    finally:
        transport.close()
