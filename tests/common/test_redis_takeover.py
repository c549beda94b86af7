"""Takeover in Redis Streams: nothing is lost or answered twice when workers die, stop or are cut off."""

from __future__ import annotations

import json
import time

import pytest
from redis import exceptions

from maskworks.types import Outcome
from tests.support.redis_process import SERVER, end, mask_of, message, results, stream_transport
from tests.support.workplace import wait_until

pytestmark = pytest.mark.skipif(SERVER is None, reason="redis-server is not installed")

STREAM = ["--redis_mode", "stream", "--redis_claim_idle", "1"]


@pytest.mark.slow("starts processes")
def test_workers_die_and_nothing_is_lost(server, client, capsys):
    for index in range(300):
        client.xadd("requests", {"data": message(id=str(index), label=1 + index % 9)})
    workers = [server.start_worker(*STREAM, "--quiet", seconds=0.02) for _ in range(3)]
    victims = []
    for number in range(1, 5):
        wait_until(lambda number=number: client.xlen("results") >= 50 * number, 60)
        victims.append(victim := workers.pop(0))
        victim.kill()
        victim.communicate()
        workers.append(server.start_worker(*STREAM, "--quiet", seconds=0.02))
    wait_until(lambda: client.xlen("requests") == 0, 60)
    end(*workers)
    found = results(client, 300)
    assert set(found) == {str(index) for index in range(300)}
    for name, answers in found.items():
        for answer in answers:
            assert mask_of(answer).max() == 1 + int(name) % 9
    duplicates = sum(len(answers) - 1 for answers in found.values())
    with capsys.disabled():
        print(f" [{len(victims)} workers killed, {duplicates} of 300 requests answered twice]", end="")
    assert duplicates <= 6 * len(victims)  # what a worker has in hand


@pytest.mark.slow("starts processes")
def test_a_long_job_is_not_taken_from_a_living_worker(server, client):
    client.xgroup_create("requests", "maskworks", "0", mkstream=True)
    client.xadd("requests", {"data": message(id="long")})
    with server.worker(*STREAM, seconds=3) as one:
        wait_until(lambda: client.xpending("requests", "maskworks")["pending"] == 1)
        with server.worker(*STREAM, seconds=0) as two:
            found = results(client, 1)
            end(one, two)
    assert [len(answers) for answers in found.values()] == [1]


@pytest.mark.slow("starts processes")
def test_much_work_of_the_dead_is_taken_over_once(server, client):
    client.xgroup_create("requests", "maskworks", "0", mkstream=True)
    for index in range(12):
        client.xadd("requests", {"data": message(id=str(index))})
    client.xreadgroup("maskworks", "dead", {"requests": ">"})
    with server.worker(*STREAM, seconds=0.25) as worker:  # for all it takes much longer than --redis_claim_idle
        results(client, 12)
        wait_until(lambda: client.xlen("requests") == 0)
        end(worker)
    assert client.xlen("results") == 12
    assert client.xlen("results_errors") == 0


@pytest.mark.slow("starts processes")
def test_what_ends_every_worker_is_put_aside(server, client):
    client.xgroup_create("requests", "maskworks", "0", mkstream=True)
    client.xadd("requests", {"data": message(id="deadly")})
    for index in range(3):  # workers that died with it
        if index == 0:
            client.xreadgroup("maskworks", f"dead{index}", {"requests": ">"})
        else:
            entry = client.xpending_range("requests", "maskworks", "-", "+", 1)[0]["message_id"]
            client.xclaim("requests", "maskworks", f"dead{index}", 0, [entry])
    client.xadd("requests", {"data": message(id="harmless")})
    with server.worker(*STREAM, "--redis_max_deliveries", "3") as worker:
        found = results(client, 2)
        end(worker)
    assert found["deadly"][0]["error"]["code"] == "internal"
    assert "error" not in found["harmless"][0]
    ((_, fields),) = client.xrange("requests_dead")
    assert json.loads(fields[b"data"])["id"] == "deadly"
    assert client.xlen("requests") == 0


@pytest.mark.slow("starts processes")
def test_a_deadly_request_takes_no_other_along(server, client):
    for index in range(8):
        client.xadd("requests", {"data": message(id=str(index), label=99 if index == 2 else 1)})
    for _ in range(5):
        with server.worker(*STREAM, "--batch_size", "4", "--quiet") as worker:
            wait_until(lambda: worker.poll() is not None or client.xlen("requests") == 0, 30)
    found = results(client, 8)
    assert {name for name, answers in found.items() if "error" in answers[0]} == {"2"}
    assert all(len(answers) == 1 for answers in found.values())


def test_stops_do_not_count_as_tries(server, client):
    client.xadd("requests", {"data": message(id="a")})
    for _ in range(5):
        transport = stream_transport(server)
        (job,) = transport.receive(1, 1)
        assert (job.error, transport.give_back(job)) == (None, True)
        transport.close()
    assert client.xlen("requests_dead") == 0


def test_entries_survive_a_connection_that_breaks_while_they_are_taken_over(server, client, monkeypatch):
    for index in range(3):
        client.xadd("requests", {"data": message(id=str(index))})
    client.xgroup_create("requests", "maskworks", "0")
    ((_, entries),) = client.xreadgroup("maskworks", "dead", {"requests": ">"})
    client.xclaim("requests", "maskworks", "dead", 0, [entry for entry, _ in entries], idle=10_000_000, justid=True)
    transport = stream_transport(server, redis_claim_idle=0.3)
    look, looks = transport._group.deliveries, []

    def break_once(entry):
        looks.append(entry)
        if len(looks) == 2:
            raise exceptions.ConnectionError("cut")
        return look(entry)

    monkeypatch.setattr(transport._group, "deliveries", break_once)
    deadline = time.monotonic() + 20
    while client.xlen("results") < 3 and time.monotonic() < deadline:
        for job in transport.receive(8, 0.1):
            transport.deliver(job, Outcome(parts={"reply": b"{}"}))
    assert client.xlen("results") == 3
    assert client.xlen("requests") == 0
    transport.close()


@pytest.mark.slow("starts processes")
def test_a_stopped_worker_leaves_its_entries_to_others_at_once(server, client):
    for index in range(6):
        client.xadd("requests", {"data": message(id=str(index))})
    slow = ["--redis_mode", "stream", "--redis_claim_idle", "3600"]
    with server.worker(*slow, seconds=0.5) as one:
        wait_until(lambda: client.xlen("results") >= 1)
        end(one)
    assert client.xlen("requests") > 0
    with server.worker(*slow) as two:
        found = results(client, 6, 20)
        end(two)
    assert {len(answers) for answers in found.values()} == {1}


def test_after_an_outage_the_living_say_so_first(server, client):
    """They could not, so what they have in hand looks abandoned to a worker that starts then."""
    for _ in range(2):
        client.xadd("requests", {"data": message()})
    client.xgroup_create("requests", "maskworks", "0")
    ((_, [(given_back, _), (in_hand, _)]),) = client.xreadgroup("maskworks", "living", {"requests": ">"})
    client.xclaim("requests", "maskworks", "living", 0, [given_back], idle=2**31 - 1, justid=True)
    client.xclaim("requests", "maskworks", "living", 0, [in_hand], idle=10_000_000, justid=True)
    transport = stream_transport(server, redis_claim_idle=3600)
    assert [job.receipt for job in transport.receive(8, 0.05)] == [given_back]
    assert transport.receive(8, 0.05) == []
    transport.close()
