"""dextr_predict_poll with the demo model, photos and files of the original."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import shutil
import subprocess
import sysconfig
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskworks.commands import poll
from maskworks_dextr.cli import MODEL
from maskworks_torch import download
from tests.support.commands import run_here

pytestmark = pytest.mark.slow("starts commands with a model")

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = ROOT / "dextr" / "demo" / "photos"
GOLDEN = ROOT / "tests" / "golden" / "dextr"
COMMAND = Path(sysconfig.get_path("scripts")) / "dextr_predict_poll"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path


def run(folder, *flags):
    """Exit code and what the command said, for the folders `in` and `out` of `folder`."""
    return run_here(partial(poll.predict_poll, MODEL), *folders(folder), *flags)


def start(folder, *flags):
    """The same in a process of its own."""
    result = subprocess.run([COMMAND, *folders(folder), *flags], capture_output=True, text=True, check=False)
    return result.returncode, result.stderr


def folders(folder):
    return "--prediction_in", folder / "in", "--prediction_out", folder / "out"


def add(folder, name="a", prompt=None, image="rocket.png"):
    shutil.copy(GOLDEN / "images" / image, folder / "in" / f"{name}.png")
    prompt = prompt or {"points": [[60, 20], [90, 60], [60, 120], [30, 60]]}
    (folder / "in" / f"{name}.points").write_text(json.dumps(prompt))


def pixels(path):
    with Image.open(path) as image:
        return np.array(image)


def test_the_demo_finds_an_object_in_every_photo(folder):
    shutil.copytree(PHOTOS, folder / "in", dirs_exist_ok=True)
    photos = sorted(PHOTOS.glob("*.jpg"))
    code, said = start(folder, "--model", "demo", "--overlay")
    assert code == 0, said
    for photo in photos:
        with Image.open(photo) as image:
            size = image.size
        mask = pixels(folder / "out" / f"{photo.stem}.png")
        assert mask.shape == size[::-1]
        assert mask.any()
        assert pixels(folder / "out" / f"{photo.stem}-overlay.png").shape == (*size[::-1], 3)
        opex = json.loads((folder / "out" / f"{photo.stem}.json").read_bytes())
        assert opex["objects"]
        facts = json.loads(opex["meta"]["objects"])
        assert max(fact["residual"] for fact in facts) < 0.1 * max(size), photo.name


def test_a_batch_gives_what_single_images_give(folder):
    for batch_size in ("1", "4"):
        shutil.rmtree(folder / "in")
        shutil.copytree(PHOTOS, folder / "in")
        out = ["--prediction_out", str(folder / f"out{batch_size}")]
        assert run(folder, "--model", "demo", "--batch_size", batch_size, "--batch_wait_ms", "500", *out)[0] == 0
    for photo in PHOTOS.glob("*.jpg"):
        one, four = (pixels(folder / f"out{size}" / f"{photo.stem}.png") for size in "14")
        assert (one != four).mean() < 1e-4


def test_a_model_of_the_original_gives_the_masks_of_the_original(folder):
    cases = json.loads((GOLDEN / "cases.json").read_text())["cases"]
    arrays = np.load(GOLDEN / "cases.npz")
    model = folder / "model.pth"
    model.write_bytes(gzip.decompress((GOLDEN / "model_a_legacy.pth.gz").read_bytes()))
    chosen = [case for case in cases if case["model"] == "a" and case["load"] == "pil" and not case["original_error"]]
    chosen = [case for case in chosen if len(case["points"]) >= 4]
    for case in chosen:
        add(folder, case["id"], {"points": np.array(case["points"])[:, ::-1].tolist()}, case["image"])
    code, said = run(folder, "--model", str(model), "--precision", "fp32")
    assert code == 3, said
    assert len(chosen) >= 5
    outside = [case["id"] for case in chosen if _is_outside(case)]
    assert sorted(path.name for path in (folder / "out" / "failed").glob("*.error.json")) == sorted(
        f"{name}.error.json" for name in outside
    )
    for case in chosen:
        if case["id"] in outside:  # the original finds something in what is around the image
            continue
        expected = arrays[f"{case['id']}.mask"].astype(int)
        found = pixels(folder / "out" / f"{case['id']}-mask.png") > 0
        differs = found != (expected >= 128)
        assert not (differs & (np.abs(expected - 127.5) > 0.01 * 255)).any(), case["id"]


def _is_outside(case):
    """Whether all of its points are."""
    with Image.open(GOLDEN / "images" / case["image"]) as image:
        size = np.array(image.size)
    points = np.array(case["points"])[:, ::-1]
    return ((points < -1) | (points > size)).any(axis=1).all()


def test_a_box_is_its_four_sides(folder):
    add(folder, "points", {"points": [[60, 20], [30, 70], [90, 70], [60, 120]]})
    add(folder, "box", {"box": {"x0": 90, "y0": 20, "x1": 30, "y1": 120}})
    assert run(folder, "--model", "demo")[0] == 0
    np.testing.assert_array_equal(pixels(folder / "out" / "points-mask.png"), pixels(folder / "out" / "box-mask.png"))
    opex = json.loads((folder / "out" / "box.json").read_bytes())
    assert json.loads(opex["meta"]["objects"])[0]["points"] == "middle of each side of the box"


def test_clicks_are_not_supported_and_spoil_nothing(folder):
    click = {"points": [{"x": 60, "y": 60, "label": 1}]}
    add(folder, "good")
    add(folder, "clicks", click)
    add(folder, "second", {"objects": [{"box": {"x0": 1, "y0": 2, "x1": 90, "y1": 80}}, click]})
    assert run(folder, "--model", "demo", "--batch_size", "3", "--batch_wait_ms", "500")[0] == 3
    errors = {p.name: json.loads(p.read_bytes())["error"] for p in (folder / "out" / "failed").glob("*.error.json")}
    assert {error["code"] for error in errors.values()} == {"unsupported_prompt"}
    assert "objects[1].points" in errors["second.error.json"]["message"]
    assert (folder / "out" / "good.json").exists()


def test_points_far_outside_are_refused(folder):
    add(folder, "a", {"points": [[5000, 5000], [5100, 5050], [5050, 5100], [4900, 5050]]})
    code, said = run(folder, "--model", "demo")
    assert code == 3, said
    error = json.loads((folder / "out" / "failed" / "a.error.json").read_bytes())["error"]
    assert error["code"] == "bad_prompt"
    assert error["message"].startswith("prompt: points: outside of the image")


class Evil:
    """A pickle that would create a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


def test_a_model_that_would_run_code_is_refused_by_name(folder):
    add(folder)
    (folder / "evil.pth").write_bytes(pickle.dumps(Evil(folder / "executed"), protocol=2))
    code, said = run(folder, "--model", str(folder / "evil.pth"))
    assert code == 5
    assert "posix.system" in said
    assert "--unsafe_load" in said
    assert "Traceback" not in said
    assert not (folder / "executed").exists()
    assert (folder / "in" / "a.png").exists()


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--model", "nowhere.pth"], 5, "nowhere.pth"),
        (["--model", __file__], 5, "test_dextr_commands.py"),
        (["--model", "demo", "--device", "cuda:99"], 6, "--device cuda:99"),
        (["--model", "demo", "--device", "toaster"], 6, "--device toaster"),
        (["--model", "demo", "--precision", "fp16", "--device", "cpu"], 6, "--precision fp16"),
        (["--model", "demo", "--threshold", "2"], 2, "--threshold"),
    ],
)
def test_what_cannot_work_is_told_in_a_line(folder, flags, code, words):
    add(folder)
    exit_code, said = run(folder, *flags)
    assert exit_code == code, said
    assert words in said
    assert "Traceback" not in said
    assert (folder / "in" / "a.png").exists()


def test_offline_the_pretrained_model_is_explained(folder, monkeypatch):
    add(folder)
    monkeypatch.setattr(download, "WAIT_S", 0)  # between the tries
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    code, said = run(folder)
    assert code == 5
    assert "dextr_pascalvoc_resunet101-a2d81727.pth" in said
    assert str(folder / "cache") in said
    assert "Traceback" not in said
