"""A subscription that ends badly leaves nothing behind, and no worker that is deaf."""

from __future__ import annotations

import threading

import pytest
from redis import exceptions

from maskworks.config import RedisConfig
from maskworks.errors import TransportError
from maskworks.formats import PromptMessages
from maskworks.transports.redis.listener import Listener
from maskworks.transports.redis.pubsub import PubSubTransport
from tests.support.redis_process import SERVER
from tests.support.workplace import wait_until

pytestmark = pytest.mark.skipif(SERVER is None, reason="redis-server is not installed")


@pytest.fixture
def narrow(server):
    """A client that may have one connection."""
    client = server.client(max_connections=1)
    yield client
    client.close()


@pytest.fixture
def transport(server):
    transport = PubSubTransport(
        RedisConfig(redis_port=server.port, redis_in="in", redis_out="out"), PromptMessages(), threading.Event()
    )
    yield transport
    transport.close()


def test_a_closed_subscription_gives_its_place_back(narrow, client):
    for number in range(3):
        listener = Listener(narrow, "in")
        client.publish("in", b"%d" % number)
        assert listener.receive() == b"%d" % number
        listener.close()
    assert narrow.ping()


def test_a_refused_subscription_gives_its_place_back(narrow, client):
    client.execute_command("ACL", "SETUSER", "default", "-psubscribe")
    for _ in range(3):
        with pytest.raises(exceptions.NoPermissionError):
            Listener(narrow, "in")
    assert narrow.ping()


def test_what_ends_the_reader_ends_the_worker(transport, client, monkeypatch):
    def failing(listener):
        raise MemoryError("a large message")

    wait_until(lambda: client.pubsub_numpat() > 0)
    monkeypatch.setattr(Listener, "receive", failing)
    client.publish("in", b"0")
    with pytest.raises(TransportError, match="MemoryError: a large message"):
        wait_until(lambda: transport.receive(8, 0.05))


def test_a_server_that_is_busy_for_a_while_is_asked_again(transport, client, monkeypatch):
    """A script that runs too long cannot be timed so that it meets the moment of subscribing."""
    busy, receive = [exceptions.ResponseError("BUSY Redis is busy running a script.")], Listener.receive

    def sometimes_failing(listener):
        if busy:
            raise busy.pop()
        return receive(listener)

    wait_until(lambda: client.pubsub_numpat() > 0)
    monkeypatch.setattr(Listener, "receive", sometimes_failing)
    client.publish("in", b"lost")
    wait_until(lambda: not busy)
    wait_until(lambda: client.publish("in", b"found") and transport.backlog)
    assert bytes(transport.receive(1, 1)[0].body) == b"found"
