"""A cluster of six nodes: streams whose names share a slot, channels anywhere, and refusals of what cannot work."""

from __future__ import annotations

import subprocess

import pytest

from maskworks.commands.doctor.redis import redis as doctor
from maskworks.config import RedisServerConfig
from tests.support.redis_clients import POINTS, SCRIPTS
from tests.support.redis_nodes import RedisCluster
from tests.support.redis_process import SERVER, end, entries, message
from tests.support.samples import encoded
from tests.support.workplace import wait_until

pytestmark = [
    pytest.mark.skipif(SERVER is None, reason="redis-server is not installed"),
    pytest.mark.slow("starts a cluster"),
]

REQUESTS, RESULTS = "{one}requests", "{one}results"
NAMES = ["--redis_mode", "stream", "--redis_in", REQUESTS, "--redis_out", RESULTS, "--redis_claim_idle", "1"]


@pytest.fixture(scope="module")
def lasting(tmp_path_factory):
    """A cluster of which nobody ends a node."""
    found = RedisCluster(tmp_path_factory.mktemp("cluster"))
    yield found
    found.stop()


@pytest.fixture
def client(lasting):
    client = lasting.client()
    for node in client.get_primaries():
        client.flushall(target_nodes=node)
    yield client
    client.close()


def answered(client, stream=RESULTS):
    return {answer["id"]: answer for answer in entries(client, stream)}


@pytest.mark.parametrize("missing", [[], ["-eval"]], ids=["script", "no scripts"])
@pytest.mark.parametrize("plain", [False, True], ids=["cluster", "one node"])
def test_a_reply_to_in_another_slot_is_its_requesters_error(lasting, client, missing, plain):
    """It used to end a worker, and then the next one that took the request over."""
    for node in lasting.nodes:
        rights = {"keys": ["*"], "commands": ["+@all", *missing]}
        node.client().acl_setuser("worker", enabled=True, nopass=True, reset=True, **rights)
    for number in range(5):
        client.xadd(REQUESTS, {"data": message(id=f"bad{number}", reply_to=f"elsewhere{number}")})
        client.xadd(REQUESTS, {"data": message(id=f"good{number}", reply_to="{one}private")})
    owner = lasting.owner(REQUESTS)
    url = f"redis://worker:any@127.0.0.1:{owner.port}" if plain else lasting.url.replace("://", "://worker:any@")
    with owner.worker(*NAMES, "--redis_url", url) as worker:
        wait_until(lambda: client.xlen(REQUESTS) == 0 or worker.poll() is not None)
        assert ("without +eval" in end(worker)) == bool(missing)
    errors = answered(client, f"{RESULTS}_errors")
    assert {name: answer["error"]["code"] for name, answer in errors.items()} == {
        f"bad{number}": "bad_prompt" for number in range(5)
    }
    assert "reply_to" in errors["bad0"]["error"]["message"]
    assert set(answered(client, "{one}private")) == {f"good{number}" for number in range(5)}


def test_a_user_of_a_cluster_who_may_do_no_more_than_needed(lasting, client):
    commands = [
        "+ping",
        "+multi",
        "+exec",
        "+xreadgroup",
        "+xgroup",
        "+xadd",
        "+xack",
        "+xdel",
        "+xpending",
        "+xclaim",
        "+xautoclaim",
        "+xinfo",
        "+xrange",
        "+xlen",
        "+eval",
        "+cluster|slots",
        "+command",
    ]
    for node in lasting.nodes:
        rights = {"keys": ["{one}*"], "commands": commands}
        node.client().acl_setuser("worker", enabled=True, nopass=True, reset=True, **rights)
    client.xadd(REQUESTS, {"data": message(id="a")})
    url = lasting.url.replace("://", "://worker:any@")
    with lasting.nodes[0].worker(*NAMES, "--redis_url", url) as worker:
        wait_until(lambda: set(answered(client)) == {"a"} or worker.poll() is not None)
        end(worker)


@pytest.mark.parametrize("plain", [False, True], ids=["cluster", "one node"])
def test_streams_that_do_not_share_a_slot_are_refused(lasting, plain):
    node = lasting.nodes[0]
    url = f"redis://127.0.0.1:{node.port}" if plain else lasting.url
    with node.worker("--redis_mode", "stream", "--redis_url", url) as worker:
        _, said = worker.communicate(timeout=30)
    assert worker.returncode == 2, said
    assert "share a hash slot" in said
    assert "{hash tag}" in said


def test_one_node_that_keeps_other_keys_is_not_enough(lasting):
    other = next(node for node in lasting.nodes[:3] if node is not lasting.owner(REQUESTS))
    with other.worker(*NAMES) as worker:
        _, said = worker.communicate(timeout=30)
    assert worker.returncode == 1, said
    assert "use --redis_url redis+cluster://" in said


def test_a_server_that_is_no_cluster(server):
    with server.worker(*NAMES, "--redis_url", f"redis+cluster://127.0.0.1:{server.port}") as worker:
        _, said = worker.communicate(timeout=30)
    assert worker.returncode == 1, said
    assert "Cluster mode is not enabled" in said


def test_the_doctor_sees_a_cluster_and_that_there_is_none(lasting):
    (found,) = doctor(RedisServerConfig(redis_url=lasting.url))
    assert (found.topic, found.state) == ("redis", "ok")
    (found,) = doctor(RedisServerConfig(redis_url="redis+cluster://127.0.0.1:1"))
    assert (found.topic, found.state) == ("redis", "problem")


@pytest.mark.parametrize("stream", [[], ["--stream"]], ids=["channels", "streams"])
def test_there_and_back(lasting, client, tmp_path, stream):
    image = tmp_path / "image.png"
    image.write_bytes(encoded())
    common = ["--url", lasting.url, *stream]
    receive = [SCRIPTS / "dextr_test_redis_recv", "-c", RESULTS, "-o", tmp_path / "out", "--count", "1", *common]
    send = [SCRIPTS / "dextr_test_redis_send", "-c", REQUESTS, "-I", image, *POINTS, *common]
    names = NAMES if stream else NAMES[2:]
    receiver = subprocess.Popen(receive, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        with lasting.nodes[0].worker(*names, "--redis_url", lasting.url) as worker:
            expected = 0 if stream else 3
            wait_until(lambda: subscriptions(lasting) == expected)
            assert subprocess.run(send, capture_output=True, check=False).returncode in ((0,) if stream else (0, 3))
            _, said = receiver.communicate(timeout=60)
            assert receiver.returncode == 0, said
            end(worker)
    finally:
        receiver.kill()
        receiver.communicate()


def subscriptions(cluster):
    """Patterns that somebody is subscribed to, at any node."""
    return sum(node.client().pubsub_numpat() for node in cluster.nodes if node.process is not None)


@pytest.mark.heavy("waits until a cluster has elected another master")
def test_workers_go_on_when_a_node_ends(tmp_path):
    cluster = RedisCluster(tmp_path)
    try:
        owner = cluster.owner(REQUESTS)
        flags = ["--redis_url", cluster.url]
        with owner.worker(*NAMES, *flags) as stream, owner.worker(*NAMES[2:], *flags) as channels:
            client = cluster.client()
            client.xadd(REQUESTS, {"data": message(id="before")})
            wait_until(lambda: set(answered(client)) == {"before"})
            wait_until(lambda: subscriptions(cluster) == 1)
            owner.stop()
            wait_until(lambda: added(cluster, message(id="after")), 60)
            client = cluster.client()
            wait_until(lambda: "after" in answered(client), 60)
            wait_until(lambda: subscriptions(cluster) == 1, 60)
            answers = client.pubsub(ignore_subscribe_messages=True)
            answers.subscribe(RESULTS)
            answers.get_message(timeout=5)
            client.publish(REQUESTS, message(id="published"))
            wait_until(lambda: b'"published"' in ((answers.get_message(timeout=1) or {}).get("data") or b""), 60)
            end(stream)
            end(channels)
    finally:
        cluster.stop()


def added(cluster, text):
    """Whether the cluster takes a request again."""
    try:
        client = cluster.client()
        client.xadd(REQUESTS, {"data": text})
    except Exception:  # noqa: BLE001 - of many kinds while there is no master for the slot
        return False
    return True
