"""Redis Streams: requests are answered once, whatever happens to the server and its streams."""

from __future__ import annotations

import signal

import pytest

from maskworks.types import Outcome
from tests.support.redis_process import (
    SERVER,
    RedisProcess,
    end,
    heavy_message,
    mask_of,
    message,
    results,
    stream_transport,
)
from tests.support.workplace import wait_until

pytestmark = pytest.mark.skipif(SERVER is None, reason="redis-server is not installed")

STREAM = ["--redis_mode", "stream", "--redis_claim_idle", "1"]


@pytest.fixture
def server(tmp_path):
    process = RedisProcess(tmp_path, "--appendonly", "yes")
    yield process
    process.stop()


def test_entries_become_results_and_are_gone(server, client):
    for index in range(20):  # before there is any worker
        client.xadd("requests", {"data": message(id=str(index), label=1 + index % 9)})
    client.xadd("requests", {"data": message(b"no image", id="bad")})
    client.xadd("requests", {"something": "else"})
    with server.worker(*STREAM) as worker:
        found = results(client, 22)
        end(worker)
    for index in range(20):
        (answer,) = found[str(index)]
        assert mask_of(answer).max() == 1 + index % 9
    assert found["bad"][0]["error"]["code"] == "bad_image"
    assert found[None][0]["error"]["code"] == "bad_json"
    assert client.xlen("requests") == 0
    assert client.xpending("requests", "maskworks")["pending"] == 0


def test_answers_go_where_they_are_wanted(server, client):
    client.xadd("requests", {"data": message(id="a", reply_to="private")})
    with server.worker(*STREAM) as worker:
        wait_until(lambda: client.xlen("private") == 1)
        end(worker)
    assert client.xlen("results") == 0


@pytest.mark.slow("starts processes")
def test_500_large_requests(server, client):
    text = heavy_message(1_300_000)
    with server.worker(*STREAM, "--batch_size", "8", "--quiet") as worker:
        for index in range(500):
            client.xadd("requests", {"data": text[:-1] + f', "id": "{index}"}}'.encode()})
        found = results(client, 500, 100)
        end(worker)
    assert len(found) == 500


@pytest.mark.slow("starts processes")
def test_results_do_not_go_into_something_else(server, client):
    client.xadd("requests", {"data": message(id="a")})
    client.set("results", "text")
    with server.worker(*STREAM) as worker:
        _, said = worker.communicate(timeout=20)
    assert worker.returncode == 1
    assert "results is no stream" in said
    assert "Traceback" not in said
    assert client.xlen("requests") == 1


@pytest.mark.slow("starts processes")
def test_the_server_is_restarted(server, client):
    with server.worker(*STREAM, seconds=0.05) as worker:
        for index in range(20):
            client.xadd("requests", {"data": message(id=str(index))})
        wait_until(lambda: client.xlen("results") >= 3)
        server.stop()
        server.start()
        found = results(server.client(), 20)
        end(worker)
    assert set(found) == {str(index) for index in range(20)}
    assert sum(map(len, found.values())) <= 24  # the 4 threads that answer may not have heard that they did


@pytest.mark.slow("starts processes")
def test_a_full_server_is_waited_for(server, client):
    with server.worker(*STREAM) as worker:
        client.xadd("requests", {"data": message(id="a")})
        results(client, 1)
        worker.send_signal(signal.SIGSTOP)  # so that the server is full before the answer comes
        used = client.info("memory")["used_memory"]
        client.xadd("requests", {"data": message(id="b")})
        client.config_set("maxmemory", used // 2)
        worker.send_signal(signal.SIGCONT)
        wait_until(lambda: client.xlen("results") == 2)  # what it has is answered, and makes room
        client.config_set("maxmemory", 0)
        client.xadd("requests", {"data": message(id="c")})
        assert set(results(client, 3)) == {"a", "b", "c"}
        end(worker)


def test_the_backlog_is_what_nobody_has_in_hand(server, client):
    """Answers in another order than the requests came: the server's own count is unknown then."""
    for index in range(6):
        client.xadd("requests", {"data": message(id=str(index))})
    transport = stream_transport(server)
    first, second = transport.receive(2, 1)
    assert (transport.backlog, transport.oldest_age > 0) == (4, True)
    transport.deliver(second, Outcome(parts={"reply": b"{}"}))
    assert client.xinfo_groups("requests")[0]["lag"] != 4
    assert transport.backlog == 4
    transport.deliver(first, Outcome(parts={"reply": b"{}"}))
    assert transport.backlog == 4
    transport.close()


@pytest.mark.slow("starts processes")
def test_a_deleted_stream_is_made_again(server, client):
    with server.worker(*STREAM) as worker:
        client.xadd("requests", {"data": message(id="a")})
        results(client, 1)
        client.delete("requests")
        wait_until(lambda: client.exists("requests"))
        client.xadd("requests", {"data": message(id="b")})
        assert set(results(client, 2)) == {"a", "b"}
        end(worker)


@pytest.mark.slow("starts processes")
def test_results_are_trimmed(server, client):
    with server.worker(*STREAM, "--redis_maxlen", "100", "--quiet", "--batch_size", "8") as worker:
        for index in range(400):
            client.xadd("requests", {"data": message(id=str(index))})
        wait_until(lambda: client.xlen("requests") == 0, 60)
        end(worker)
    assert 100 <= client.xlen("results") < 300
