"""sam_predict_redis and the clients that come with it."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.redis_process import SERVER, Listener, RedisProcess, entries, mask_of, message
from tests.support.sam_models import CHECKPOINT, PHOTOS
from tests.support.workplace import wait_until

pytestmark = [
    pytest.mark.skipif(SERVER is None, reason="redis-server is not installed"),
    pytest.mark.slow("starts commands with a model"),
]

SCRIPTS = Path(sysconfig.get_path("scripts"))
PHOTO = PHOTOS / "coffee.jpg"
BOX = {"x0": 77, "y0": 18, "x1": 479, "y1": 391}


@pytest.fixture
def server(tmp_path):
    process = RedisProcess(tmp_path)
    yield process
    process.stop()


def start_worker(server, *flags):
    channels = ["--redis_in", "requests", "--redis_out", "results", "--redis_port", str(server.port)]
    return subprocess.Popen([SCRIPTS / "sam_predict_redis", "--model", CHECKPOINT, *channels, *flags])


def request(**keys):
    """A message of SAM's own form: the prompt stands under `prompt`."""
    return message(PHOTO.read_bytes(), points=None, **keys)


def test_a_photo_goes_there_and_back(server, tmp_path):
    prompt = tmp_path / "cup.prompt"
    prompt.write_text(json.dumps({"points": [{"x": 250, "y": 200, "label": 1}], "box": BOX}))
    client = server.client()
    listener = Listener(client, "results", "results_errors")
    port = ["-p", str(server.port)]
    receive = [SCRIPTS / "sam_test_redis_recv", *port, "-c", "results", "-o", str(tmp_path / "out"), "-f", "cup"]
    with (
        start_worker(server) as worker,
        subprocess.Popen([*receive, "--count", "1", "--overlay", str(PHOTO)], stdout=subprocess.PIPE) as receiver,
    ):
        try:
            wait_until(lambda: client.pubsub_numpat() >= 3, 60)
            send = [SCRIPTS / "sam_test_redis_send", *port, "-c", "requests", "-I", str(PHOTO)]
            subprocess.run([*send, "-P", str(prompt), "--label", "7", "--id", "mine"], check=True)
            assert receiver.wait(60) == 0
            client.publish("requests", request(id="bad", prompt={"points": [{"x": 1, "y": 2, "label": 3}]}))
            client.publish("requests", request(id="again", prompt={"box": BOX}))
            answers = {answer["id"]: answer for answer in listener.answers(3)}
        finally:
            worker.terminate()
            receiver.terminate()
        assert worker.wait(20) == 0
    listener.close()
    client.close()
    first = answers["mine"]
    assert first["meta"]["segmenter"] == {"type": "sam", "model_type": "vit_64x3", "model_file": CHECKPOINT.name}
    assert first["meta"]["prompt"] == {**json.loads(prompt.read_text()), "label": 7}
    assert set(np.unique(mask_of(first))) == {0, 7}
    with Image.open(tmp_path / "out" / "cup.png") as saved:
        np.testing.assert_array_equal(np.array(saved), mask_of(first))
    assert (tmp_path / "out" / "cup-overlay.png").exists()
    assert answers["bad"]["error"]["code"] == "bad_prompt"
    assert "points[0].label" in answers["bad"]["error"]["message"]
    assert (first["meta"]["cache"], answers["again"]["meta"]["cache"]) == ("miss", "hit")


def test_streams_batches_and_a_worker_that_dies(server):
    client = server.client()
    for index in range(8):
        box = {"x0": 10, "y0": 10, "x1": 100 + 10 * index, "y1": 300}
        client.xadd("requests", {"data": request(id=str(index), prompt={"box": box})})
    flags = ["--redis_mode", "stream", "--redis_claim_idle", "1", "--batch_size", "3"]
    with start_worker(server, *flags) as first:
        wait_until(lambda: client.xlen("results") >= 1, 60)
        first.kill()
    with start_worker(server, *flags) as second:
        try:
            wait_until(lambda: {answer["id"] for answer in entries(client, "results")} == set("01234567"), 60)
        finally:
            second.terminate()
        assert second.wait(20) == 0
    for answer in entries(client, "results"):
        assert answer["meta"]["prompt"]["box"]["x1"] == 100 + 10 * int(answer["id"])
    client.close()


def test_everything_without_a_prompt(server):
    client = server.client()
    client.xadd("requests", {"data": PHOTO.read_bytes()})
    client.xadd("requests", {"data": json.dumps({"image": json.loads(request())["image"], "id": "mine"})})
    with start_worker(server, "--redis_mode", "stream", "--automatic", "--points_per_side", "3") as worker:
        try:
            wait_until(lambda: client.xlen("results") == 2, 60)
        finally:
            worker.terminate()
        assert worker.wait(20) == 0
    bare, named = sorted(entries(client, "results"), key=lambda answer: "id" in answer)  # no order is promised
    assert named["id"] == "mine"
    assert bare["contours"] == named["contours"]
    client.close()


def test_the_client_needs_a_prompt_file(tmp_path):
    (tmp_path / "list.prompt").write_text("[1]")
    send = [SCRIPTS / "sam_test_redis_send", "-c", "requests", "-I", str(PHOTO), "-P"]
    for path in ("nowhere.prompt", str(tmp_path / "list.prompt")):
        result = subprocess.run([*send, path], capture_output=True, text=True, check=False)
        assert result.returncode == 2
        assert path in result.stderr
        assert "Traceback" not in result.stderr
