"""dextr_predict_redis with the demo model, and the clients that come with it."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.redis_process import SERVER, Listener, RedisProcess, mask_of, message
from tests.support.workplace import wait_until

pytestmark = [
    pytest.mark.skipif(SERVER is None, reason="redis-server is not installed"),
    pytest.mark.slow("starts commands with a model"),
]

SCRIPTS = Path(sysconfig.get_path("scripts"))
PHOTO = Path(__file__).resolve().parents[2] / "dextr" / "demo" / "photos" / "coffee.jpg"


@pytest.fixture
def server(tmp_path):
    process = RedisProcess(tmp_path)
    yield process
    process.stop()


def test_a_photo_goes_there_and_back(server, tmp_path):
    prompt = json.loads(PHOTO.with_suffix(".points").read_bytes())
    client = server.client()
    listener = Listener(client, "results", "results_errors")
    port = ["-p", str(server.port)]
    worker_flags = ["--redis_in", "requests", "--redis_out", "results", "--redis_port", str(server.port)]
    receive = [SCRIPTS / "dextr_test_redis_recv", *port, "-c", "results", "-o", str(tmp_path / "out"), "-f", "cup"]
    with (
        subprocess.Popen([SCRIPTS / "dextr_predict_redis", "--model", "demo", *worker_flags]) as worker,
        subprocess.Popen([*receive, "--count", "1", "--overlay", str(PHOTO)], stdout=subprocess.PIPE) as receiver,
    ):
        try:
            wait_until(lambda: client.pubsub_numpat() >= 3, 60)
            send = [SCRIPTS / "dextr_test_redis_send", *port, "-c", "requests", "-I", str(PHOTO)]
            subprocess.run([*send, "--prompt", str(PHOTO.with_suffix(".points"))], check=True)
            assert receiver.wait(60) == 0
            client.publish("requests", message(PHOTO.read_bytes(), id="clicks", points=[{"x": 1, "y": 2, "label": 1}]))
            first, second = listener.answers(2)
        finally:
            worker.terminate()
            receiver.terminate()
        assert worker.wait(20) == 0
    listener.close()
    client.close()
    objects = prompt.get("objects", [prompt])
    assert first["meta"]["segmenter"] == {"type": "dextr", "model_type": "demo"}
    assert first["meta"]["prompt"] == prompt
    assert len(first["meta"]["objects"]) == len(objects)
    assert mask_of(first).any()
    with Image.open(tmp_path / "out" / "cup.png") as saved:
        np.testing.assert_array_equal(np.array(saved), mask_of(first))
    assert (tmp_path / "out" / "cup-overlay.png").exists()
    assert (second["id"], second["error"]["code"]) == ("clicks", "unsupported_prompt")
