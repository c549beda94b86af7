"""A network that holds connections open and forwards nothing: it is noticed, holds nothing up, and may come back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import exceptions

from maskworks.config import RedisConfig
from maskworks.errors import GaveUp, TransportError
from maskworks.formats import PromptMessages
from maskworks.transports.redis import last_tries, listener
from maskworks.transports.redis import server as redis_server
from maskworks.transports.redis.pubsub import PubSubTransport
from maskworks.transports.redis.resp import RespReader
from maskworks.transports.redis.stream import StreamTransport
from maskworks.types import Outcome
from tests.support.redis_process import SERVER, Listener, message, results
from tests.support.stalling_proxy import StallingProxy
from tests.support.workplace import WORKER, wait_until

pytestmark = pytest.mark.skipif(SERVER is None, reason="redis-server is not installed")

KINDS = {"pubsub": PubSubTransport, "stream": StreamTransport}
PATIENT = "redis://localhost:{}/0?socket_timeout=3600"


@pytest.fixture
def proxy(server):
    proxy = StallingProxy(server.port)
    yield proxy
    proxy.close()


@pytest.fixture
def patient(monkeypatch):
    """Nothing but the end of the time to stop ends a wait."""
    monkeypatch.setattr(RespReader.__init__, "__defaults__", (3600.0,))
    monkeypatch.setattr(last_tries, "_SECONDS", 0.5)


def transport(mode, proxy, stop=None):
    config = RedisConfig(
        redis_url=PATIENT.format(proxy.port), redis_in="requests", redis_out="results", redis_mode=mode
    )
    return KINDS[mode](config, PromptMessages(), stop or threading.Event())


def publish(client):
    return client.publish("requests", message())


def test_a_silent_subscription_is_doubted_left_and_made_again(server, proxy, client, monkeypatch, caplog):
    monkeypatch.setattr(listener, "_SILENCE", 0.1)
    monkeypatch.setattr(listener, "_ANSWER", 0.2)
    monkeypatch.setattr(listener, "_PATIENCE", 1.5)
    ours = transport("pubsub", proxy)
    wait_until(lambda: client.pubsub_numpat() > 0)
    proxy.stall()
    wait_until(lambda: ours._listener is not None and "silent" in ours._listener.problem)
    wait_until(lambda: "has said nothing" in caplog.text)
    proxy.resume()
    wait_until(lambda: publish(client) and ours.backlog)
    ours.check()
    ours.close()


def test_a_subscription_that_is_silent_alone_is_not_ready(server, proxy, client, monkeypatch):
    """The connection for commands may go another way."""
    ours = transport("pubsub", proxy)
    wait_until(lambda: client.pubsub_numpat() > 0)
    wait_until(lambda: ours._listener is not None)
    ours.check()
    monkeypatch.setattr(listener.Listener, "problem", "the subscription has been silent for 16 s")
    with pytest.raises(TransportError, match="silent for 16 s"):
        ours.check()
    ours.close()
    with pytest.raises(TransportError, match="not subscribed to requests"):
        ours.check()


def with_a_job(mode, proxy, client, stop):
    """A transport, and a job that it has received."""
    ours = transport(mode, proxy, stop)
    if mode == "pubsub":
        wait_until(lambda: publish(client) and ours.backlog)
    else:
        client.xadd("requests", {"data": message()})
    (job,) = ours.receive(1, 5)
    return ours, job


@pytest.mark.parametrize("mode", KINDS)
def test_a_silent_network_does_not_hold_up_the_end(server, proxy, client, patient, mode):
    stop = threading.Event()
    ours, job = with_a_job(mode, proxy, client, stop)
    proxy.stall()
    with ThreadPoolExecutor(1) as threads:
        delivery = threads.submit(ours.deliver, job, Outcome(parts={"reply": b"result"}))
        stop.set()
        with pytest.raises(GaveUp, match=r"no answer in time.*stopping without it"):
            delivery.result(60)
        with pytest.raises(GaveUp, match="stopping without it"):
            ours.deliver(job, Outcome(parts={"reply": b"result"}))
        ours.give_back(job)
        threads.submit(ours.close).result(60)


@pytest.mark.parametrize("mode", KINDS)
def test_a_network_that_is_silent_from_the_start_does_not_hold_up_the_end(server, proxy, patient, mode):
    stop = threading.Event()
    proxy.stall()
    with ThreadPoolExecutor(1) as threads:
        begun = threads.submit(transport, mode, proxy, stop)
        stop.set()
        with pytest.raises(GaveUp, match="stopping without it"):
            begun.result(60)


@pytest.mark.parametrize("mode", KINDS)
def test_a_network_that_works_is_not_cut_off(server, proxy, client, patient, mode):
    stop = threading.Event()
    ours, job = with_a_job(mode, proxy, client, stop)
    stop.set()
    wait_until(lambda: ours._server.last_tries.too_late(0.0))
    ours.deliver(job, Outcome(parts={"reply": b"result"}))
    ours.close()


class Workers:
    """A worker behind the proxy, with a folder of its own for its health."""

    def __init__(self, folder, port, mode):
        self.env = {**os.environ, "BRIGHT_COMMAND": "redis", "TMPDIR": str(folder)}
        place = ["--redis_url", PATIENT.format(port).replace("3600", "2")]
        channels = ["--redis_in", "requests", "--redis_out", "results", "--redis_mode", mode]
        self.log = folder / "said"
        with self.log.open("w") as said:
            self.process = subprocess.Popen([sys.executable, str(WORKER), *place, *channels], env=self.env, stderr=said)

    def is_well(self, *kind):
        return (
            subprocess.run([sys.executable, str(WORKER), "--check", *kind], check=False, env=self.env).returncode == 0
        )

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        return code, self.log.read_text()


@pytest.fixture(params=KINDS)
def worker(request, server, proxy, client, tmp_path):
    worker = Workers(tmp_path, proxy.port, request.param)
    wait_until(lambda: client.pubsub_numpat() if request.param == "pubsub" else client.exists("requests"), 60)
    worker.mode = request.param
    yield worker
    worker.process.kill()
    worker.process.wait()


def answered(client, mode, number):
    if mode == "stream":
        client.xadd("requests", {"data": message(id=f"mine-{number}")})
        return results(client, number)
    heard = Listener(client, "results")
    client.publish("requests", message())
    found = heard.answers(1)
    heard.close()
    return found


@pytest.mark.slow("waits for a health check")
def test_a_worker_behind_a_network_that_comes_back(worker, proxy, client):
    assert answered(client, worker.mode, 1)
    wait_until(worker.is_well, 60)
    proxy.stall()
    wait_until(lambda: not worker.is_well(), 60)
    assert worker.is_well("live")
    proxy.resume()
    wait_until(worker.is_well, 60)
    assert answered(client, worker.mode, 2)
    code, said = worker.end()
    assert code == 0, said
    assert "Traceback" not in said


@pytest.mark.slow("waits for a health check")
def test_a_worker_behind_a_silent_network_stops(worker, proxy, client):
    assert answered(client, worker.mode, 1)
    proxy.stall()
    wait_until(lambda: not worker.is_well(), 60)
    code, said = worker.end()
    assert code in (0, 4), said
    assert "no answer in time" in said
    assert "stopping without it" in said
    assert "Traceback" not in said


def test_the_library_may_say_anything_of_a_connection_that_is_cut_off(server, proxy, patient):
    stop = threading.Event()
    ours = redis_server.RedisServer(RedisConfig(redis_port=proxy.port, redis_in="a", redis_out="b"), stop)
    with pytest.raises(AttributeError), ours.last_tries.command():
        raise AttributeError("of ours")
    ours.last_tries.over = True
    with pytest.raises(exceptions.ConnectionError), ours.last_tries.command():
        raise AttributeError("NoneType has no attribute recv")
    ours.close()
