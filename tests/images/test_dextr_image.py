"""The image of DEXTR at work: with its demo model, as users run it."""

from __future__ import annotations

import base64
import json

import pytest

from tests.support.container import ROOT, fill
from tests.support.redis_process import SERVER, Listener, RedisProcess, mask_of
from tests.support.workplace import wait_until

pytestmark = pytest.mark.slow("starts containers")

PHOTOS = ROOT / "dextr" / "demo" / "photos"
GRACE = 10  # seconds after which `docker stop` kills
POLL = ["dextr_predict_poll", "--model", "demo", "--prediction_in", "/data/in", "--prediction_out", "/data/out"]


@pytest.fixture
def data(tmp_path):
    """A folder of the user in the container, with a photo and its prompt."""
    folder = tmp_path / "data"
    fill(folder / "in", PHOTOS / "coffee.jpg", PHOTOS / "coffee.points")
    return folder


def test_a_downloaded_model_is_asked_for_and_its_absence_explained(dextr, data):
    done = dextr.run("dextr_predict_poll", *POLL[3:], mounts={"/data": data})
    assert done.returncode == 5
    assert "download" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(SERVER is None, reason="redis-server is not installed")
def test_redis_on_this_machine_and_a_quick_end(dextr, tmp_path):
    server = RedisProcess(tmp_path)
    client = server.client()
    listener = Listener(client, "results", "results_errors")
    flags = ["--redis_in", "requests", "--redis_out", "results", "--redis_port", str(server.port)]
    try:
        with dextr.start("dextr_predict_redis", "--model", "demo", *flags, network=True) as worker:
            wait_until(lambda: client.pubsub_numpat() >= 1, 60)
            photo = base64.b64encode((PHOTOS / "coffee.jpg").read_bytes()).decode()
            prompt = json.loads((PHOTOS / "coffee.points").read_bytes())
            client.publish("requests", json.dumps({"image": photo, **prompt}))
            (answer,) = listener.answers(1)
            assert mask_of(answer).any()
            assert dextr.stop(worker) < GRACE
            assert worker.returncode == 0
    finally:
        listener.close()
        client.close()
        server.stop()


def test_health_is_that_of_the_worker(dextr, data):
    """The worker runs beside a shell here, which waits until it is well, and then stops it."""
    script = 'maskworks-health && exit 9; "$0" "$@" & until maskworks-health; do sleep 1; done; kill $!; wait $!'
    done = dextr.run("sh", "-c", script, *POLL, "--continuous", mounts={"/data": data})
    assert done.returncode == 0, done.stderr
    assert "no dextr_predict_poll is running" in done.stderr
    assert "Traceback" not in done.stderr


def test_training_finds_its_way_into_the_image(dextr):
    done = dextr.run("dextr_train", "--help", read_only=True)
    assert done.returncode == 0
    assert "--arch" in done.stdout
