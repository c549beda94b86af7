"""Every image with a model that is small enough for a test, as users run it: folders in, folders out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.container import ROOT, USER, fill

pytestmark = pytest.mark.slow("starts containers")

GOLDEN = ROOT / "tests" / "golden"
PHOTO = ROOT / "dextr" / "demo" / "photos" / "coffee.jpg"
# What is mapped to /model and /data/in, and the flags that name the model.
WORK: dict[str, tuple[list[Path], list[Path], list[str]]] = {
    "dextr": ([], [PHOTO, PHOTO.with_suffix(".points")], ["--model", "demo"]),
    "sam": ([GOLDEN / "sam" / "small.safetensors"], [PHOTO], ["--model", "/model/small.safetensors"]),
    "tensormask": (
        [GOLDEN / "tensormask" / "model.safetensors", *(GOLDEN / "tensormask" / "configs").glob("*.yaml")],
        [GOLDEN / "tensormask" / "im0.png"],
        ["--model", "/model/model.safetensors", "--config", "/model/tiny.yaml"],
    ),
}


@pytest.mark.parametrize("read_only", [False, True], ids=["writable", "read-only"])
def test_without_network_and_the_results_belong_to_the_user(image, tmp_path, read_only):
    if image.model not in WORK:
        pytest.skip("no trained model is small enough to be here")
    weights, pictures, flags = WORK[image.model]
    fill(tmp_path / "model", *weights)
    fill(tmp_path / "data" / "in", *pictures)
    if image.model == "sam":
        prompt = tmp_path / "prompt"
        prompt.write_text(json.dumps({"box": {"x0": 100, "y0": 60, "x1": 400, "y1": 300}}))
        fill(tmp_path / "data" / "in", prompt, names=["coffee.prompt"])
    mounts = {"/data": tmp_path / "data", "/model": tmp_path / "model"}
    command = f"{image.model}_predict_poll"
    folders = ["--prediction_in", "/data/in", "--prediction_out", "/data/out"]
    done = image.run(command, *flags, *folders, mounts=mounts, read_only=read_only)
    assert done.returncode == 0, done.stderr
    name = pictures[0].stem
    assert {f"{name}.json", pictures[0].name} <= {path.name for path in (tmp_path / "data" / "out").iterdir()}
    result = json.loads((tmp_path / "data" / "out" / f"{name}.json").read_bytes())
    assert result["objects"]
    assert {f"{path.stat().st_uid}:{path.stat().st_gid}" for path in (tmp_path / "data").rglob("*")} == {USER}
