"""Sentinels and failovers: workers and clients go on with the new master, and say when they cannot work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from maskworks.config import RedisConfig
from maskworks.errors import TransportError
from maskworks.formats import PromptMessages
from maskworks.transports.redis import listener
from maskworks.transports.redis.pubsub import PubSubTransport
from maskworks.transports.redis.stream import StreamTransport
from maskworks.types import Outcome
from tests.support.redis_clients import POINTS, SCRIPTS
from tests.support.redis_nodes import Sentinels, started
from tests.support.redis_process import SERVER, Listener, end, entries, message
from tests.support.samples import encoded
from tests.support.workplace import WORKER, wait_until

pytestmark = [
    pytest.mark.skipif(SERVER is None, reason="redis-server is not installed"),
    pytest.mark.slow("starts a master, replicas and Sentinels"),
]

SECRET = "hunter2"


@pytest.fixture
def sentinels(tmp_path):
    found = Sentinels(tmp_path)
    yield found
    found.stop()


def answered(client):
    return {answer["id"] for answer in entries(client, "results")}


def transport(kind, sentinels_or_port, **settings):
    place = {"redis_url": sentinels_or_port.url} if isinstance(sentinels_or_port, Sentinels) else {}
    place = place or {"redis_port": sentinels_or_port}
    mode = "stream" if kind is StreamTransport else "pubsub"
    config = RedisConfig(redis_in="requests", redis_out="results", redis_mode=mode, **place, **settings)
    return kind(config, PromptMessages(), threading.Event())


def test_workers_on_a_stream_go_on_with_the_new_master(sentinels):
    flags = ["--redis_mode", "stream", "--redis_claim_idle", "1", "--redis_url", sentinels.url]
    server = sentinels.master()
    with server.worker(*flags) as one, server.worker(*flags) as two:
        for index in range(10):
            server.client().xadd("requests", {"data": message(id=f"before{index}")})
        wait_until(lambda: len(answered(server.client())) == 10, 60)
        client = sentinels.end_master().client()
        for index in range(10):
            client.xadd("requests", {"data": message(id=f"after{index}")})
        wait_until(lambda: {f"after{index}" for index in range(10)} <= answered(client), 60)
        assert (one.poll(), two.poll()) == (None, None)
        assert "works again" in end(one) + end(two)


def test_workers_on_channels_go_on_with_the_new_master(sentinels):
    with sentinels.master().worker("--redis_url", sentinels.url) as worker:
        wait_until(lambda: sentinels.master().client().pubsub_numpat() == 1)
        client = sentinels.end_master().client()
        wait_until(lambda: client.pubsub_numpat() == 1, 60)
        answers = Listener(client, "results")
        client.publish("requests", message(id="after"))
        assert [answer["id"] for answer in answers.answers(1)] == ["after"]
        end(worker)


def test_a_channel_whose_master_hangs_is_left(sentinels, monkeypatch):
    """A server that hangs keeps its connections, so a listener hears nothing, not even that it is gone."""
    monkeypatch.setattr(listener, "_SILENCE", 0.3)
    monkeypatch.setattr(listener, "_PATIENCE", 0.5)
    channels = transport(PubSubTransport, sentinels)
    hung = sentinels.master()
    wait_until(lambda: hung.client().pubsub_numpat() == 1)
    hung.process.send_signal(signal.SIGSTOP)
    try:
        others = [server for server in sentinels.servers if server is not hung]
        wait_until(lambda: any(other.client().pubsub_numpat() == 1 for other in others), 60)
        channels.check()
        channels.close()
    finally:
        hung.process.send_signal(signal.SIGCONT)


@pytest.mark.parametrize("stream", [[], ["--stream"]], ids=["channels", "streams"])
def test_the_test_clients_go_on_with_the_new_master(sentinels, tmp_path, stream):
    image = tmp_path / "image.png"
    image.write_bytes(encoded())
    mode = ["--redis_mode", "stream"] if stream else []
    common = ["--url", sentinels.url, *stream]
    receive = [SCRIPTS / "dextr_test_redis_recv", "-c", "results", "-o", tmp_path / "out", "--count", "1", *common]
    send = [SCRIPTS / "dextr_test_redis_send", "-c", "requests", "-I", image, *POINTS, *common]
    receiver = subprocess.Popen(receive, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        with sentinels.master().worker("--redis_url", sentinels.url, *mode) as worker:
            patterns = 0 if stream else 3  # its own, and the receiver's two
            wait_until(lambda: sentinels.master().client().pubsub_numpat() == patterns)
            client = sentinels.end_master().client()
            wait_until(lambda: client.pubsub_numpat() == patterns, 60)
            assert subprocess.run(send, capture_output=True, check=False).returncode == 0
            _, said = receiver.communicate(timeout=60)
            assert receiver.returncode == 0, said
            end(worker)
    finally:
        receiver.kill()
        receiver.communicate()


def test_sentinels_have_a_password_of_their_own(tmp_path, monkeypatch):
    found = Sentinels(tmp_path, replicas=0, password=SECRET)
    try:
        monkeypatch.setenv("SENTINEL_SECRET", SECRET)
        server = found.master()
        server.client().xadd("requests", {"data": message(id="a")})
        flags = ["--redis_mode", "stream", "--redis_url"]
        with server.worker(*flags, f"{found.url}?sentinel_password_env=SENTINEL_SECRET") as worker:
            wait_until(lambda: answered(server.client()) == {"a"})
            end(worker)
        wrong = f"{found.url}?sentinel_password=not{SECRET}"
        with server.worker(*flags, wrong, "--redis_give_up", "0.5") as worker:
            _, said = worker.communicate(timeout=30)
        assert worker.returncode == 4, said
        assert "No master found" in said
        assert SECRET not in said
    finally:
        found.stop()


def test_a_service_that_sentinels_do_not_know(sentinels):
    url = sentinels.url.replace("/main/", "/other/")
    with sentinels.master().worker("--redis_url", url, "--redis_give_up", "0.5") as worker:
        _, said = worker.communicate(timeout=30)
    assert worker.returncode == 4, said
    assert "No master found for 'other'" in said


def is_ready(folder):
    environment = {**os.environ, "BRIGHT_COMMAND": "redis", "TMPDIR": str(folder)}
    command = [sys.executable, str(WORKER), "--check"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("mode", ["stream", "pubsub"])
def test_a_worker_beside_a_replica_is_not_ready(tmp_path, monkeypatch, mode):
    """It can neither take requests nor answer those who listen at the master."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    master = started(tmp_path / "master")
    replica = started(tmp_path / "replica", "--replicaof", f"127.0.0.1 {master.port}")
    try:
        wait_until(lambda: replica.client().info("replication")["master_link_status"] == "up", 60)
        with replica.worker("--redis_mode", mode) as worker:
            wait_until(lambda: "not ready yet" not in is_ready(tmp_path).stderr or mode == "stream")
            assert is_ready(tmp_path).returncode == 1
            replica.client().replicaof("NO", "ONE")
            wait_until(lambda: is_ready(tmp_path).returncode == 0, 60)
            replica.client().replicaof("127.0.0.1", master.port)
            wait_until(lambda: is_ready(tmp_path).returncode == 1, 60)
            worker.kill()
    finally:
        replica.stop()
        master.stop()


def test_a_worker_at_a_sentinel_is_not_ready(sentinels):
    port = sentinels.sentinels[0].port
    channels = transport(PubSubTransport, port)
    with pytest.raises(TransportError, match=r"is a Sentinel.*redis\+sentinel://"):
        channels.check()
    channels.close()
    with pytest.raises(TransportError, match=r"is a Sentinel.*redis\+sentinel://"):
        transport(StreamTransport, port)


def test_what_a_worker_holds_is_answered_by_the_new_master(sentinels):
    """The worker has the request in hand when its master ends."""
    server = sentinels.master()
    client = server.client()
    stream = transport(StreamTransport, sentinels)
    client.xadd("requests", {"data": message(id="a")})
    (job,) = stream.receive(1, 5)
    assert client.wait(2, 20_000) == 2
    client = sentinels.end_master().client()
    stream.deliver(job, Outcome(parts={"reply": b'{"id": "a"}'}))
    assert (answered(client), client.xlen("requests")) == ({"a"}, 0)
    stream.check()
    stream.close()
