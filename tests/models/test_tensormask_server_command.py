"""tensormask-server with the original's small network: the flags of old, and answers like the library's own."""

from __future__ import annotations

import gzip
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from maskworks_tensormask.image_text import write_image
from tensormask.model import TensorMask
from tests.support.http_process import HttpProcess

pytestmark = pytest.mark.slow("starts commands with a model")

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "tensormask"
CONFIG, WEIGHTS = GOLDEN / "configs" / "tiny.yaml", GOLDEN / "model.safetensors"
COMMAND = Path(sysconfig.get_path("scripts")) / "tensormask-server"


@pytest.fixture(scope="module")
def server():
    flags = [
        "-tb",
        str(WEIGHTS),
        "-cp",
        str(CONFIG),
        "-h",
        "127.0.0.1",
        "-t",
        "0.8",
        "--precision",
        "fp32",
        "--batch_size",
        "4",
    ]
    process = HttpProcess(*flags, command=[str(COMMAND)])
    yield process
    assert process.stop() == 0, process.said


@pytest.fixture(scope="module")
def model():
    return TensorMask.from_files(CONFIG, WEIGHTS)


def image(name):
    with Image.open(GOLDEN / name) as file:
        return np.asarray(file.convert("RGB"))


@pytest.mark.slow("computes with a network")
def test_images_go_in_unresized_and_bgr(server, model):
    pixels = image("im0.png")
    with server.client() as client:
        answer = client.post("/model/", content=write_image(pixels))
    found = torch.load(BytesIO(gzip.decompress(answer.content)), weights_only=True)
    expected = model.predict_raw([pixels[:, :, ::-1]], threshold=0.8)[0]
    assert len(expected.scores) > 0
    np.testing.assert_allclose(found["scores"], expected.scores, atol=1e-4)
    np.testing.assert_allclose(found["pred_boxes"], expected.boxes, atol=1e-2)
    np.testing.assert_array_equal(found["pred_classes"], expected.classes)
    assert found["pred_masks"].shape == expected.masks.shape
    assert (found["pred_masks"].numpy() != expected.masks).mean() < 1e-4


def test_predict_resizes_as_the_config_says(server, model):
    pixels = image("big.png")
    with server.client() as client:
        reply = client.post("/predict", content=(GOLDEN / "big.png").read_bytes()).json()
    expected = model.predict([pixels], threshold=0.8)[0]
    scores = [fact["score"] for fact in reply["meta"]["objects"]]
    np.testing.assert_allclose(scores, expected.scores, atol=1e-4)
    assert [fact["class"] for fact in reply["meta"]["objects"]] == expected.classes.tolist()


def test_both_kinds_may_meet_in_a_batch(server, model):
    pixels = image("im1.png")
    body, file = write_image(pixels), (GOLDEN / "im1.png").read_bytes()

    def send(raw):
        if not raw:
            return len(client.post("/predict", content=file).json()["meta"]["objects"])
        answer = client.post("/model/", content=body)
        return len(torch.load(BytesIO(gzip.decompress(answer.content)), weights_only=True)["scores"])

    with server.client() as client, ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(send, [True, False] * 4))
    raw = len(model.predict_raw([pixels[:, :, ::-1]], threshold=0.8)[0].scores)
    resized = len(model.predict([pixels], threshold=0.8)[0].scores)
    assert raw != resized
    assert counts == [raw, resized] * 4


@pytest.mark.parametrize("flags", [["-t", "0"], ["-t", "1"], ["--threshold", "2"]])
def test_the_threshold_is_strictly_between_0_and_1(flags):
    done = subprocess.run([COMMAND, "-tp", WEIGHTS, "-cp", CONFIG, *flags], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "between 0 and 1" in done.stderr


@pytest.mark.slow("computes with a network")
def test_help_is_long_only():
    done = subprocess.run([COMMAND, "--help"], capture_output=True, text=True, check=True)
    for flag in (
        "-tp FILE",
        "-tb FILE",
        "--tensormask-path",
        "-cp FILE",
        "--configuration-path",
        "-h HOST",
        "-p PORT",
        "-t 0-1",
    ):
        assert flag in done.stdout
    assert subprocess.run([COMMAND, "-h"], capture_output=True, check=False).returncode == 2
