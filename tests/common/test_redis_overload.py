"""Who is refused is told so beside all other work, to the last one."""

from __future__ import annotations

import threading

import pytest

from maskworks.config import RedisConfig
from maskworks.errors import TransportError
from maskworks.formats import PromptMessages
from maskworks.transports.redis import overload as refusals
from maskworks.transports.redis.overload import OverloadReplies
from maskworks.transports.redis.pubsub import PubSubTransport
from tests.support.jobs import a_job
from tests.support.redis_process import SERVER, Listener, message
from tests.support.workplace import wait_until


def test_all_have_their_answer_when_it_is_closed():
    answered, go_on = [], threading.Event()

    def deliver(job, outcome):
        go_on.wait(20)
        answered.append((job.id, outcome.id, outcome.reply_to, outcome.error.code))

    refused = OverloadReplies(deliver)
    for number in range(5):
        refused.add(a_job(str(number), b'{"id": "x", "reply_to": "private"}', format=PromptMessages()), "full")
    assert answered == []
    go_on.set()
    refused.close()
    assert answered == [(str(number), "x", "private", "overloaded") for number in range(5)]


def test_no_more_than_some_wait(monkeypatch):
    monkeypatch.setattr(refusals, "_MOST", 2)
    answered, go_on = [], threading.Event()

    def deliver(job, outcome):
        go_on.wait(20)
        answered.append(job.id)

    refused = OverloadReplies(deliver)
    sender = threading.Thread(target=lambda: [refused.add(a_job(str(number)), "full") for number in range(6)])
    sender.start()
    sender.join(0.2)
    assert sender.is_alive()
    go_on.set()
    sender.join(20)
    refused.close()
    assert answered == list("012345")


def test_after_a_failure_nothing_is_tried():
    tried = []

    def deliver(job, outcome):
        tried.append(job.id)
        raise TransportError("no server")

    refused = OverloadReplies(deliver)
    for number in range(5):
        refused.add(a_job(str(number)), "full")
    refused.close()
    assert tried == ["0"]
    assert refused.failure.message == "no server"


@pytest.fixture
def full(server):
    """A transport with room for a single job."""
    config = RedisConfig(redis_port=server.port, redis_in="in", redis_out="out", redis_queue_bytes=1)
    transport = PubSubTransport(config, PromptMessages(), threading.Event())
    yield transport
    transport.close()


@pytest.mark.skipif(SERVER is None, reason="redis-server is not installed")
def test_while_the_model_is_busy(full, client):
    counted, listener = [], Listener(client, "out_errors")
    full.count_overloads(counted.append)
    wait_until(lambda: client.pubsub_numpat() > 0)
    for number in range(5):
        client.publish("in", message(id=str(number)))
    answers = listener.answers(4)  # and nobody has received anything
    listener.close()
    assert [(answer["id"], answer["error"]["code"]) for answer in answers] == [(n, "overloaded") for n in "1234"]
    assert [job.id for job in full.receive(8, 1)] == ["1"]
    wait_until(lambda: [outcome.error.code for outcome in counted] == ["overloaded"] * 4)


@pytest.mark.skipif(SERVER is None, reason="redis-server is not installed")
def test_who_cannot_be_told_ends_the_worker(full, server, client):
    wait_until(lambda: client.pubsub_numpat() > 0)
    client.acl_setuser("sender", enabled=True, nopass=True, channels=["*"], commands=["+@all"])
    client.acl_setuser("default", enabled=True, commands=["-publish"])
    sender = server.client(username="sender", password="any")
    for _ in range(2):
        sender.publish("in", message())
    wait_until(lambda: "errorstat_NOPERM" in client.info("errorstats"))  # the second was refused, not taken as well

    def receive_again_and_again():
        sender.publish("in", message())
        wait_until(lambda: full.backlog)
        full.receive(8, 0.05)

    with pytest.raises(TransportError, match="refuses"):
        wait_until(receive_again_and_again)  # although there is always something to do
    sender.close()
