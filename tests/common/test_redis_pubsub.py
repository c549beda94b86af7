"""Redis channels as existing clients use them: a real server, real workers."""

from __future__ import annotations

import signal
from urllib.request import urlopen

import pytest

from tests.support.redis_process import SERVER, Listener, RedisProcess, free_port, heavy_message, mask_of, message
from tests.support.workplace import wait_until

pytestmark = [
    pytest.mark.skipif(SERVER is None, reason="redis-server is not installed"),
    pytest.mark.slow("starts processes"),
]


@pytest.fixture
def listener(client):
    listener = Listener(client, "results", "results_errors", "private")
    yield listener
    listener.close()


def subscribed(client):
    wait_until(lambda: client.pubsub_numpat() > 0)


def end(worker):
    """Stops a worker the polite way; what it said."""
    worker.send_signal(signal.SIGTERM)
    _, said = worker.communicate(timeout=20)
    assert worker.returncode == 0, said
    return said


def test_a_request_is_answered_in_the_old_format(server, client, listener):
    with server.worker() as worker:
        subscribed(client)
        client.publish("requests", message(label=3))
        (reply,) = listener.answers(1)
        end(worker)
    assert mask_of(reply).max() == 3
    assert reply["contours"] == [[[4, 4], [4, 12], [12, 12], [12, 4]]]
    assert reply["meta"]["segmenter"] == {"type": "bright"}
    assert reply["meta"]["prompt"]["label"] == 3
    assert "id" not in reply


def test_names_come_back_and_answers_go_where_they_are_wanted(server, client, listener):
    with server.worker() as worker:
        subscribed(client)
        client.publish("requests", message(id="one", reply_to="private"))
        client.publish("requests", message(id="two", label=66))
        client.publish("requests", message(b"no image", id="three", reply_to="private"))
        client.publish("requests", b"{not json")
        answers = listener.answers(4)
        end(worker)
    found = {(a.get("id"), a["channel"], a.get("error", {}).get("code")) for a in answers}
    assert found == {
        ("one", "private", None),
        ("two", "results_errors", "internal"),
        ("three", "private", "bad_image"),
        (None, "results_errors", "bad_json"),
    }


def test_the_input_is_a_pattern(server, client, listener):
    with server.worker("--redis_in", "camera.*") as worker:
        subscribed(client)
        client.publish("camera.left", message(id="left"))
        client.publish("camera.right", message(id="right"))
        client.publish("other", message(id="other"))
        assert {answer["id"] for answer in listener.answers(3, timeout=3)} == {"left", "right"}
        end(worker)


def test_a_burst_is_answered_to_the_last_request(server, client, listener):
    with server.worker(seconds=0.02) as worker:
        subscribed(client)
        for index in range(60):
            client.publish("requests", heavy_message(1_300_000, id=str(index), label=1 + index % 9))
        answers = listener.answers(60)
        end(worker)
    assert sorted(int(answer["id"]) for answer in answers) == list(range(60))
    for answer in answers:
        assert mask_of(answer).max() == 1 + int(answer["id"]) % 9


def test_too_much_is_answered_overloaded(server, client, listener):
    with server.worker("--redis_queue_bytes", "3000000", seconds=0.5) as worker:
        subscribed(client)
        for index in range(30):
            client.publish("requests", heavy_message(400_000, id=str(index)))
        answers = listener.answers(30)
        said = end(worker)
    refused = [answer for answer in answers if "error" in answer]
    assert len(answers) == 30
    assert {answer["error"]["code"] for answer in refused} == {"overloaded"}
    assert 0 < len(refused) < 30
    assert f"(overloaded: {len(refused)})" in said
    assert {int(answer["id"]) for answer in answers if answer["id"]} == set(range(30))


def test_poison_between_good_requests(server, client, listener):
    poison = [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        message(b""),
        b'{"image": 5, "points": []}',
        message(label=66),
        message(id=[5]),
    ]
    with server.worker("--batch_size", "4") as worker:
        subscribed(client)
        for index, bad in enumerate(poison):
            client.publish("requests", message(id=str(index), label=1 + index))
            client.publish("requests", bad)
        answers = listener.answers(2 * len(poison))
        end(worker)
    good = {answer["id"]: mask_of(answer).max() for answer in answers if "error" not in answer}
    assert good == {str(index): 1 + index for index in range(len(poison))}
    assert len(answers) == 2 * len(poison)


def test_the_server_goes_away_and_comes_back(server, client):
    with server.worker() as worker:
        subscribed(client)
        server.stop()
        server.start()
        subscribed(client)
        listener = Listener(client, "results")
        client.publish("requests", message(id="after"))
        assert [answer["id"] for answer in listener.answers(1)] == ["after"]
        listener.close()
        assert "works again" in end(worker)


def test_a_connection_that_is_cut_is_made_again(server, client):
    with server.worker() as worker:
        subscribed(client)
        before = {entry["id"] for entry in client.client_list(_type="pubsub")}
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes")
        wait_until(lambda: any(c["psub"] == "1" and c["id"] not in before for c in client.client_list(_type="pubsub")))
        again = Listener(client, "results")
        client.publish("requests", message(id="after"))
        assert [answer["id"] for answer in again.answers(1)] == ["after"]
        again.close()
        assert "until it is back is lost" in end(worker)


def test_gives_up_when_told_to(server):
    server.stop()
    with server.worker("--redis_give_up", "0.5") as worker:
        _, said = worker.communicate(timeout=20)
    assert worker.returncode == 4
    assert "--redis_give_up" in said
    assert "Traceback" not in said


def test_a_wrong_password_is_refused_and_not_shown(tmp_path):
    server = RedisProcess(tmp_path, "--requirepass", "right")
    try:
        with server.worker("--redis_password", "hunter2") as worker:
            _, said = worker.communicate(timeout=20)
        assert worker.returncode == 1
        assert "refuses" in said
        assert "hunter2" not in said
        with server.worker("--redis_url", f"redis://:hunter2@127.0.0.1:{server.port}/0") as worker:
            _, said = worker.communicate(timeout=20)
        assert worker.returncode == 1
        assert "hunter2" not in said
    finally:
        server.stop()


def test_terminated_under_load_everything_is_answered(server, client, listener):
    """What the model had begun has a result, what was waiting is told to come again."""
    with server.worker(seconds=0.2) as worker:
        subscribed(client)
        for index in range(30):
            client.publish("requests", message(id=str(index), label=1 + index % 9))
        first = listener.answers(2)
        end(worker)
    answers = first + listener.answers(28, timeout=5)
    refused = [answer for answer in answers if "error" in answer]
    assert sorted(int(answer["id"]) for answer in answers) == list(range(30))
    assert {answer["error"]["code"] for answer in refused} == {"overloaded"}
    assert len(answers) - len(refused) >= 2
    for answer in answers:
        assert "error" in answer or mask_of(answer).max() == 1 + int(answer["id"]) % 9


def test_terminated_while_it_refuses_everybody_is_told(server, client, listener):
    with server.worker("--redis_queue_bytes", "3000000", seconds=1) as worker:
        subscribed(client)
        for index in range(40):
            client.publish("requests", heavy_message(400_000, id=str(index)))
        end(worker)
    assert {int(answer["id"]) for answer in listener.answers(40)} == set(range(40))


def test_a_long_timeout_does_not_delay_the_end(server, client):
    with server.worker("--redis_timeout", "1000") as worker:
        subscribed(client)
        end(worker)


def test_prometheus_is_told(server, client, listener):
    port = free_port()
    with server.worker("--metrics_port", str(port)) as worker:
        subscribed(client)
        client.publish("requests", message())
        client.publish("requests", message(label=66))
        listener.answers(2)
        # An answer is counted after its listener has it, so the numbers come one after the other.
        for line in (
            'maskworks_errors_total{code="internal"} 1.0',
            "maskworks_results_total 1.0",
            'maskworks_stage_seconds_count{stage="decode"} 2.0',
            "maskworks_waiting_requests 0.0",
            "maskworks_requests_in_flight 0.0",
        ):
            wait_until(lambda line=line: line in metrics(port))
        end(worker)


def metrics(port):
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return answer.read().decode()
