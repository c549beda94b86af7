"""Whole runs of the training program on small data: what it learns, writes, and says."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboardX.proto.event_pb2 import Event
from torchvision.models import mobilenet_v3_small

from dextr import architectures
from dextr.model import DextrModel
from dextr.train import job as training_job
from dextr.train.__main__ import main
from tests.support.dextr_training_command import ENVIRONMENT, LABELS, MASKS, SMALL, command, curve, draw_ellipses

VALIDATE = "--val_fraction=0.3"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    return draw_ellipses(tmp_path, 6)


def losses(folder, job):
    return curve(folder, job, "loss", "val_loss", "val_miou")


@pytest.mark.slow("trains a network")
def test_overfits_eight_objects(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    draw_ellipses(tmp_path, 8, (180, 240), objects=1)
    same = ("--val_image_pat=images/*.png", "--val_target_pat=labels/*.png", "--val_every_n_epochs=3")
    flags = ("--target_size=96", "--batch_size=8", "--iters_per_epoch=20", "--aug_rot_range=0")
    assert main(["overfit", *LABELS, *SMALL, *same, *flags]) == 0
    assert "training: 8 objects in 8 images" in capsys.readouterr().out
    assert float(curve(tmp_path, "overfit", "val_miou")[-1][0]) > 0.95
    model = DextrModel.from_file("checkpoints/overfit.best.pth")
    photo, label = (np.asarray(Image.open(name)) for name in ("images/photo3.png", "labels/photo3_labels.png"))
    rows, columns = np.nonzero(label)
    ends = [rows.argmin(), rows.argmax(), columns.argmin(), columns.argmax()]
    mask = model.predict([photo], [np.stack([rows[ends], columns[ends]], axis=1)])[0] >= 0.5
    assert (mask & (label > 0)).sum() / (mask | (label > 0)).sum() > 0.93


@pytest.mark.slow("trains a network")
def test_what_a_run_writes(folder, capsys):
    assert main(["job", *MASKS, *SMALL, VALIDATE, "--val_every_n_epochs=2"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert (folder / "logs" / "log_job.txt").read_text().splitlines() == said
    settings = said[1 : said.index("Seed: 3")]
    assert said[0] == "Settings:"
    assert settings == sorted(settings)
    assert "batch_size=4" in settings
    assert "training: 9 objects in 6 images" in said
    assert "  images/photo1.png: 2 objects in masks/photo1_mask0.png, masks/photo1_mask1.png" in said
    assert [line.split()[0] for line in said[-5:]] == ["Epoch", "Epoch", "Epoch", "FINAL:", "Done:"]
    assert "VAL loss=" in said[-4]

    rows = curve(folder, "job", "epoch", "iteration", "val_miou")
    assert [row[:2] for row in rows] == [("1", "3"), ("2", "6"), ("3", "9")]
    assert rows[0][2] == ""
    assert f"mIoU={float(rows[2][2]):.3%}" in said[-2]
    with Image.open("logs/job-validation.png") as sheet:
        colours = {colour for _, colour in sheet.getcolors(1 << 24)}
    assert {(64, 224, 64), (255, 48, 160)} <= colours
    assert scalars(folder / "logs" / "tensorboard" / "job", "loss") == pytest.approx(
        [float(row[0]) for row in losses(folder, "job")]
    )
    last, best = (torch.load(f"checkpoints/{name}.pth", weights_only=True) for name in ("job", "job.best"))
    assert last["format"] == best["format"]
    assert set(last) - set(best) == {"training"}
    assert DextrModel.from_file("checkpoints/job.pth").target_size_yx == (64, 64)


def scalars(folder, name):
    """The values of a curve in TensorBoard's files: records of length, checksum, event, checksum."""
    (path,) = folder.iterdir()
    data, values = path.read_bytes(), []
    while data:
        length = int.from_bytes(data[:8], "little")
        event = Event.FromString(data[12 : 12 + length])
        values += [value.simple_value for value in event.summary.value if value.tag == name]
        data = data[16 + length :]
    return values


@pytest.mark.slow("trains a network")
def test_the_best_is_kept_and_patience_ends(folder, capsys):
    # Without learning no validation is better than the first one, but for the statistics of the normalisation.
    flags = (VALIDATE, "--learning_rate=0", "--num_epochs=40", "--iters_per_epoch=1", "--patience=2")
    assert main(["job", *LABELS, *SMALL, *flags]) == 0
    miou = [float(row[2]) for row in losses(folder, "job")]
    best = int(np.argmax(miou)) + 1
    assert len(miou) == best + 2 < 40
    assert f"Stopped early after epoch {best + 2}" in capsys.readouterr().out
    assert main(["job", *LABELS, *SMALL, *flags, "--resume"]) == 0
    assert len(losses(folder, "job")) == len(miou)
    assert f"epoch {best})" in capsys.readouterr().out


@pytest.mark.slow("trains a network")
def test_a_seed_repeats_with_any_number_of_workers(folder):
    short = (*LABELS, *SMALL, VALIDATE, "--num_epochs=1")
    for job, flags in {"a": (), "b": ("--num_workers=2",), "c": ("--seed=4",)}.items():
        assert main([job, *short, *flags]) == 0
    assert losses(folder, "a") == losses(folder, "b")
    assert losses(folder, "a") != losses(folder, "c")


@pytest.mark.slow("trains a network")
@pytest.mark.parametrize(
    "flags",
    [("--amp=bf16",), ("--accumulate=2",), ("--whole_pixels",), ("--lr_sched=cosine",), ("--opt_type=sgd",)],
    ids=str,
)
def test_ways_to_train(folder, flags):
    assert main(["plain", *LABELS, *SMALL, VALIDATE, "--num_epochs=1"]) == 0
    assert main(["other", *LABELS, *SMALL, VALIDATE, "--num_epochs=1", *flags]) == 0
    assert losses(folder, "plain") != losses(folder, "other")
    assert 0 < float(losses(folder, "other")[0][0]) < 0.5


@pytest.mark.slow("trains a network")
def test_the_seed_that_is_told_repeats_what_was_held_back(folder, capsys):
    flags = [flag for flag in (*LABELS, *SMALL, VALIDATE, "--num_epochs=1") if not flag.startswith("--seed")]
    assert main(["first", *flags]) == 0
    (told,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Seed: ")]
    seed = int(told.partition(": ")[2])
    assert main(["second", *flags, f"--seed={seed}"]) == 0
    assert losses(folder, "first") == losses(folder, "second")


@pytest.mark.slow("trains a network")
def test_a_model_that_needs_two_samples(folder, capsys):
    DextrModel(architectures.build("deeplab3"), (64, 64), 4, 3.0).save("deep.safetensors", dtype=torch.float16)
    assert main(["job", *LABELS, *SMALL, "--load_model=deep.safetensors", "--batch_size=1"]) == 2
    assert "--batch_size: 1 leaves each process one sample; deeplab3 needs 2 or more" in capsys.readouterr().err


@pytest.mark.slow("trains a network")
def test_going_on_from_a_model(folder, capsys):
    short = (*LABELS, "--num_epochs=1", "--iters_per_epoch=1", "--batch_size=2", "--num_workers=0", "--opt_type=adam")
    assert main(["first", *SMALL, *short]) == 0
    before = DextrModel.from_file("checkpoints/first.pth")
    flags = ("--load_model=small", "--learning_rate=0.01", "--pretrained_lr_factor=0.5", "--lr_sched=none")
    assert main(["second", *short, *flags], models={"small": folder / "checkpoints" / "first.pth"}) == 0
    assert "a mobileunet for crops of 64 x 64, padding 4, blob_sigma 3; these win" in capsys.readouterr().out
    assert curve(folder, "second", "learning_rate", "pretrained_learning_rate") == [("0.005", "0.005")]
    after = DextrModel.from_file("checkpoints/second.pth")
    assert after.target_size_yx == (64, 64)
    moved = [(a - b).abs().max() for a, b in zip(before.net.parameters(), after.net.parameters(), strict=True)]
    assert 0 < max(moved) < 0.0051  # Adam's first step is as long as the rate


@pytest.mark.slow("trains a network")
def test_backbone_weights(folder, capsys, monkeypatch):
    torch.manual_seed(1)
    weights = mobilenet_v3_small(weights=None).state_dict()
    torch.save(weights, "backbone.pth")
    short = (*LABELS, *SMALL, "--num_epochs=1", "--iters_per_epoch=1", "--learning_rate=0")
    assert main(["job", *short, "--backbone_weights=backbone.pth"]) == 0
    trained = DextrModel.from_file("checkpoints/job.pth").net.base_model.state_dict()
    assert torch.equal(trained["3.block.0.0.weight"], weights["features.3.block.0.0.weight"])
    torch.save({"a": torch.zeros(1)}, "wrong.pth")
    assert main(["wrong", *short, "--backbone_weights=wrong.pth"]) == 5
    assert "--backbone_weights wrong.pth does not fit mobileunet" in capsys.readouterr().err

    def no_network(*_, **__):
        raise OSError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(folder / "empty"))
    monkeypatch.setattr("torch.hub.urlopen", no_network)
    assert main(["away", *short, "--backbone_weights=imagenet"]) == 5
    said = capsys.readouterr().err
    assert "no route to host" in said
    assert f"put their file into {folder}/empty/hub/checkpoints" in said


@pytest.mark.slow("trains a network")
def test_a_loss_that_is_not_finite(folder, capsys):
    assert main(["job", *LABELS, *SMALL, "--opt_type=sgd", "--learning_rate=1e30"]) == 1
    said = capsys.readouterr().err
    assert "the loss became nan in step" in said
    assert "lower --learning_rate" in said
    assert not (folder / "checkpoints" / "job.pth").exists()
    log = (folder / "logs" / "log_job.txt").read_text()
    assert "Error: the loss became nan" in log
    assert "Traceback" not in log


def test_devices(folder, capsys):
    missing = f"cuda:{torch.cuda.device_count() + 3}"
    assert main(["job", *LABELS, *SMALL, f"--device={missing}"]) == 6
    assert f"--device {missing}: not usable here" in capsys.readouterr().err
    assert main(["job2", *LABELS, *SMALL, "--device=cpu", "--amp=fp16"]) == 2
    assert "--amp fp16: is for GPUs" in capsys.readouterr().err


def test_mistakes_of_the_program_are_in_the_log(folder, monkeypatch):
    def broken(*_):
        raise KeyError("a mistake")

    monkeypatch.setattr(training_job, "prepare", broken)
    with pytest.raises(KeyError):
        main(["job", *LABELS, *SMALL])
    assert "KeyError: 'a mistake'" in (folder / "logs" / "log_job.txt").read_text()


BROKEN_STEP = """
import sys
from dextr.train.__main__ import main
from dextr.train.trainer import Trainer
def step(self, batches):
    raise MemoryError("no room")
Trainer.step = step
main(sys.argv[1:])
"""


@pytest.mark.slow("starts a process that imports torch")
def test_an_error_in_a_step_ends_the_process_and_its_workers(folder):
    result = subprocess.run(
        [sys.executable, "-c", BROKEN_STEP, "job", *LABELS, *SMALL, "--num_workers=1"],
        cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert result.returncode == 1
    assert "MemoryError: no room" in result.stderr
    assert "MemoryError: no room" in (folder / "logs" / "log_job.txt").read_text()


@pytest.mark.slow("trains a network")
def test_progress_on_a_terminal(folder):
    reader, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))
    flags = (*LABELS, *SMALL, "--num_epochs=2")
    with subprocess.Popen(
        command("job", *flags), cwd=folder, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=terminal
    ) as process:
        os.close(terminal)
        shown = b""
        while True:
            try:
                part = os.read(reader, 4096)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
    os.close(reader)
    assert process.returncode == 0
    text = shown.decode()
    assert "Epoch 2/2" in text
    assert "24/24" in text  # images
    assert "loss=0." in text
    assert "img/s" in text or "s/img" in text
