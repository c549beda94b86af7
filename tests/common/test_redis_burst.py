"""Work is held back while messages arrive, and none of it is lost."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from redis.exceptions import ConnectionError

from maskworks.config import RedisConfig
from maskworks.formats import PromptMessages
from maskworks.transports.redis.listener import Listener
from maskworks.transports.redis.pubsub import PubSubTransport
from maskworks.transports.redis.resp import RespReader
from tests.support.redis_process import SERVER
from tests.support.workplace import wait_until

needs_server = pytest.mark.skipif(SERVER is None, reason="redis-server is not installed")


@pytest.fixture
def stop():
    return threading.Event()


@pytest.fixture
def transport(server, stop):
    transport = PubSubTransport(
        RedisConfig(redis_port=server.port, redis_in="in", redis_out="out"), PromptMessages(), stop
    )
    yield transport
    transport.close()


def test_what_is_there_to_be_read_is_seen_from_other_threads():
    ours, theirs = socket.socketpair()
    with theirs:
        reader = RespReader(ours)
        assert not reader.waits
        theirs.sendall(b":1\r\n:2\r\n")
        wait_until(lambda: reader.waits)
        assert reader.read() == 1
        assert reader.waits  # the second one was received with the first
        assert reader.read() == 2
        assert not reader.waits
    ours.close()
    assert not reader.waits


@needs_server
def test_a_subscription_is_busy_in_the_middle_of_a_message(server, client, monkeypatch):
    """The rest of a message comes when it is let through; that moment cannot be met with a real server."""
    arrives, goes_on = threading.Event(), threading.Event()
    read = RespReader.read

    def slowly(reader, depth=0):
        value = read(reader, depth)
        if value == b"pmessage":
            arrives.set()
            goes_on.wait(20)
        return value

    listener = Listener(client, "in")
    assert not listener.is_busy
    monkeypatch.setattr(RespReader, "read", slowly)
    monkeypatch.setattr(RespReader, "waits", False)
    client.publish("in", b"0")
    receiving = threading.Thread(target=listener.receive)
    receiving.start()
    assert arrives.wait(20)
    assert listener.is_busy
    goes_on.set()
    receiving.join()
    assert not listener.is_busy
    listener.close()


@needs_server
def test_jobs_are_held_back_while_messages_arrive(transport, client, monkeypatch):
    wait_until(lambda: client.pubsub_numpat() > 0)
    for number in range(3):
        client.publish("in", b"%d" % number)
    wait_until(lambda: transport.backlog == 3)
    with monkeypatch.context() as patch:
        patch.setattr(Listener, "is_busy", True)
        start = time.monotonic()
        (first,) = transport.receive(8, 0.05)
        assert time.monotonic() - start >= 0.05
    rest_of_them = transport.receive(8, 0.05)
    assert [bytes(job.body) for job in (first, *rest_of_them)] == [b"0", b"1", b"2"]


@needs_server
def test_a_subscription_that_becomes_quiet_lets_jobs_go_at_once(transport, client, monkeypatch):
    wait_until(lambda: client.pubsub_numpat() > 0)
    client.publish("in", b"0")
    wait_until(lambda: transport.backlog == 1)
    looks = iter([True, True])
    monkeypatch.setattr(Listener, "is_busy", property(lambda _: next(looks, False)))
    start = time.monotonic()
    assert len(transport.receive(8, 60)) == 1
    assert time.monotonic() - start < 30


@needs_server
def test_a_message_that_breaks_off_holds_nothing_back(transport, client, stop, monkeypatch):
    def broken(reader, depth=0):
        stop.set()  # so that no later message ends it
        raise ConnectionError("in the middle of a message")

    wait_until(lambda: client.pubsub_numpat() > 0)
    monkeypatch.setattr(RespReader, "read", broken)
    client.publish("in", b"0")
    wait_until(stop.is_set)
    wait_until(lambda: not transport._is_busy)
