"""The commands of the manual, as they are printed there, on small data."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dextr.model import DextrModel
from dextr.train.options import parse
from maskworks_dextr.options import DEMO_MODEL
from tests.support.dextr_training_command import draw_ellipses

ROOT = Path(__file__).resolve().parents[2]


def printed_commands(path, heading):
    """The commands in the indented blocks below a heading, continued lines joined."""
    section = path.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"(?:^    .*\n)+", section, re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [" ".join(line.split()) for line in lines if re.match(r"\s*(dextr_|torchrun|python)", line)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Photos, masks, and an image with its extreme points to predict."""
    folder = draw_ellipses(tmp_path_factory.mktemp("cups"), 6, (120, 160))
    (folder / "images").rename(folder / "photos")
    for photo in (folder / "photos").iterdir():
        Image.open(photo).save(photo.with_suffix(".jpg"), quality=95)
        photo.unlink()
    (folder / "in").mkdir()
    Image.open(folder / "photos" / "photo2.jpg").save(folder / "in" / "new.jpg")
    rows, columns = np.nonzero(np.asarray(Image.open(folder / "masks" / "photo2_mask0.png")))
    ends = [rows.argmin(), rows.argmax(), columns.argmin(), columns.argmax()]
    points = np.stack([columns[ends], rows[ends]], axis=1).tolist()
    (folder / "in" / "new.points").write_text(json.dumps({"points": points}))
    return folder


@pytest.fixture(scope="module")
def results(folder):
    """What each printed command did: its exit code and what it said."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment["PATH"] = sysconfig.get_path("scripts") + os.pathsep + environment["PATH"]
    commands = printed_commands(ROOT / "dextr" / "README.md", "dextr_train")
    assert [command.split()[0] for command in commands] == ["dextr_train", "dextr_predict_poll", "torchrun"]
    done = {}
    for command in commands:
        result = subprocess.run(
            command, shell=True, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        done[command.split()[0]] = result
    return done


@pytest.mark.slow("computes with a network")
@pytest.mark.timeout(300)  # the commands start a dozen processes
def test_the_commands_of_the_readme(folder, results):
    for command, result in results.items():
        assert result.returncode == 0, f"{command}: {result.stdout[-2000:]}{result.stderr[-2000:]}"
    said = results["dextr_train"].stdout
    assert "training: 9 objects in 6 images" in said
    assert "a mobileunet for crops of 256 x 256" in said
    for name in (
        "checkpoints/cups.pth", "checkpoints/cups.best.pth", "logs/log_cups.txt", "logs/cups.csv",
        "logs/tensorboard/cups", "logs/cups-validation.png",
    ):  # fmt: skip
        assert (folder / name).exists(), name


@pytest.mark.slow("trains a network")
@pytest.mark.timeout(300)  # the commands start a dozen processes
def test_the_new_model_predicts(folder, results):
    mask, truth = (np.asarray(Image.open(folder / name)) > 0 for name in ("out/new.png", "masks/photo2_mask0.png"))
    assert (mask & truth).sum() / (mask | truth).sum() > 0.8
    demo, tuned = (DextrModel.from_file(path).net for path in (DEMO_MODEL, folder / "checkpoints" / "cups.best.pth"))
    assert not all(torch.equal(a, b) for a, b in zip(demo.parameters(), tuned.parameters(), strict=True))


@pytest.mark.slow("trains a network")
@pytest.mark.timeout(300)  # the commands start a dozen processes
def test_two_processes_train_together(folder, results):
    said = results["torchrun"].stdout
    assert "2 processes, each with 2 of the 4 samples of a batch" in said
    assert said.count("Training...") == 1
    one, two = ((folder / "logs" / f"{job}.csv").read_text().splitlines()[1] for job in ("cups", "cups_on_two"))
    first_losses = [float(line.split(",")[2]) for line in (one, two)]
    # The same samples; the batch normalisation sees half of them each.
    assert first_losses[0] == pytest.approx(first_losses[1], rel=0.5)


def test_the_commands_of_the_manual_are_valid(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    manual = ROOT / "docs" / "dextr-training.md"
    headings = re.findall(r"^## (.*)$", manual.read_text(), re.MULTILINE)
    commands = [command for heading in headings for command in printed_commands(manual, heading)]
    training = [command.partition("dextr_train ")[2] for command in commands if "dextr_train " in command]
    assert len(training) >= 4
    for name in ("dextr_pascalvoc_resunet101-a2d81727.pth", "resnet101.pth"):
        (tmp_path / name).touch()
    for line in training:
        parse("dextr_train", shlex.split(line), {"demo": DEMO_MODEL})
    for command in commands:
        if command.startswith("python dextr"):
            assert (ROOT / command.split()[1]).is_file()
