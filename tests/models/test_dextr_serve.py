"""dextr_serve with the demo model: over HTTP as over a folder."""

from __future__ import annotations

import subprocess
import sysconfig
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskworks.commands import poll
from maskworks_dextr.cli import MODEL
from tests.support.commands import run_here
from tests.support.http_process import HttpProcess, pixels

pytestmark = pytest.mark.slow("starts commands with a model")

SCRIPTS = Path(sysconfig.get_path("scripts"))
PHOTO = Path(__file__).resolve().parents[2] / "dextr" / "demo" / "photos" / "coffee.jpg"


@pytest.fixture(scope="module")
def server():
    process = HttpProcess("--model", "demo", "--precision", "fp32", command=[str(SCRIPTS / "dextr_serve")])
    yield process
    assert process.stop() == 0, process.said


def test_the_mask_is_that_of_the_folder_command(server, tmp_path):
    prompt = PHOTO.with_suffix(".points").read_bytes()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(PHOTO.read_bytes())
    (tmp_path / "in" / "a.points").write_bytes(prompt)
    flags = ["--prediction_in", tmp_path / "in", "--prediction_out", tmp_path / "out"]
    code, said = run_here(partial(poll.predict_poll, MODEL), "--model", "demo", "--precision", "fp32", *flags)
    assert code == 0, said
    with server.client() as client:
        files = {"image": PHOTO.read_bytes(), "prompt": (None, prompt)}
        answer = client.post("/predict", files=files, headers={"Accept": "image/png"})
    with Image.open(tmp_path / "out" / "a.png") as mask:
        np.testing.assert_array_equal(pixels(answer.content), np.array(mask))


def test_clicks_are_refused_and_the_command_is_well(server):
    with server.client() as client:
        files = {"image": PHOTO.read_bytes(), "prompt": (None, b'{"points": [{"x": 1, "y": 2, "label": 1}]}')}
        answer = client.post("/predict", files=files)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "unsupported_prompt")
    subprocess.run([SCRIPTS / "dextr_serve", "--check"], check=True)
