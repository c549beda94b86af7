"""The flags of the training program: those of the original, their defaults, and what is said about wrong ones."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from dextr.train.config import TrainConfig
from dextr.train.options import new_parser, parse
from maskworks.config.flag import flags as config_flags
from tests.support.dextr_training_command import LABELS, draw_ellipses

MODEL = "dextr_pascalvoc_resunet101-a2d81727.pth"
# What the original's train_dextr.py has, and its defaults.
ORIGINAL = {
    "dataset": "pascal_voc", "train_image_pat": "", "train_target_pat": "", "val_image_pat": "", "val_target_pat": "",
    "label_ignore_index": None, "arch": "resunet50", "load_model": None, "learning_rate": 0.1,
    "pretrained_lr_factor": 0.1, "lr_sched": "poly", "lr_poly_power": 0.9, "opt_type": "sgd", "sgd_weight_decay": 1e-4,
    "target_size": 512, "padding": 10, "extreme_range": 5, "noise_std": 1.0, "blob_sigma": 10.0, "aug_rot_range": 20.0,
    "batch_size": 4, "num_epochs": 100, "iters_per_epoch": 1000, "val_every_n_epochs": 25,
}  # fmt: skip
# Command lines of the original's manual.
OLD_LINES = [
    "pascal_resunet101 --dataset=pascal_voc --arch=resunet101",
    "my_model_from_labels --dataset=custom_label --train_image_pat=/mydataset/train/input/*.jpg "
    f"--train_target_pat=/mydataset/train/labels/*.png --arch=resunet101 --load_model={MODEL}",
    "my_model_from_pascal --dataset=custom_label --train_image_pat=/pascal/VOC2012/JPEGImages/*.jpg "
    "--train_target_pat=/pascal/VOC2012/SegmentationObjects/*.png --label_ignore_index=255 --arch=resunet101",
    "my_model_from_masks --dataset=custom_mask --train_image_pat=/mydataset/train/input/*.jpg "
    f"--train_target_pat=/mydataset/train/masks/*.png --arch=resunet101 --load_model={MODEL}",
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parsed(line, models=None):
    return parse("dextr_train", line.split(), models or {})


def problems(capsys, line):
    with pytest.raises(SystemExit) as stop:
        parsed(line)
    assert stop.value.code == 2
    return capsys.readouterr().err.splitlines()


def test_defaults_are_those_of_the_original():
    config = parsed("job")
    assert {name: getattr(config, name) for name in ORIGINAL} == ORIGINAL
    assert config.aug_hflip  # always on in the original, whatever its flag said
    assert not parsed("job --no_aug_hflip").aug_hflip
    assert parsed("job --aug_hflip").aug_hflip


@pytest.mark.parametrize("line", OLD_LINES)
def test_old_lines(folder, line):
    (folder / MODEL).touch()
    config = parsed(line)
    words = dict(word.removeprefix("--").split("=") for word in line.split()[1:])
    assert {name: str(getattr(config, name)) for name in words} == words
    apart = [part for word in line.split() for part in word.split("=")]  # --flag value
    assert parse("dextr_train", apart, {}) == config


def test_every_flag_has_its_field_and_every_field_its_flag():
    flags = {action.dest for action in new_parser("x")._actions} - {"help", "version"}
    assert flags == {field.name for field in fields(TrainConfig)}
    assert set(config_flags(TrainConfig)) == flags - {"job_name"}


def test_all_problems_are_told_together(capsys):
    said = problems(
        capsys,
        "a/b --dataset custom_label --train_image_pat in/*.jpg --batch_size 0 --padding 300 --val_fraction 1.5 "
        "--load_model nowhere.pth --patience 2 --target_size 500 --train_annotations x.json --iters_per_epoch 0",
    )
    text = "\n".join(said)
    assert all(line.startswith("dextr_train: ") for line in said)
    for flag in ("batch_size: 0", "padding: 300", "val_fraction: 1.5", "load_model: nowhere.pth", "target_size: 500"):
        assert f"--{flag}" in text
    assert "--train_target_pat: is missing" in text
    assert "--train_annotations: has no effect with --dataset custom_label" in text
    assert "JOB_NAME: 'a/b'" in text
    assert "--iters_per_epoch: 0" in text


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--learning_rate nan", "--learning_rate: nan is out of range"),
        ("--val_fraction 0.2", "--val_fraction: there are images to validate on already"),
        ("--dataset coco --train_image_dir x --train_annotations y --patience 3", "--patience: needs images"),
        ("--dataset coco --train_image_dir x --train_annotations y --val_image_dir z", "--val_annotations: is missing"),
        ("--backbone_weights lost.pth", "--backbone_weights: lost.pth is no file"),
        ("--arch deeplab3 --batch_size 1", "--batch_size: 1 leaves each process one sample; deeplab3 needs 2 or more"),
        (f"--seed {2**62}", f"--seed: {2**62} is out of range; expected less than 2**62"),
        ("--arch vgg", "invalid choice: 'vgg'"),
        ("--learning rate 3", "unrecognized arguments"),
    ],
)
def test_wrong_flags(capsys, flags, message):
    assert message in "\n".join(problems(capsys, f"job {flags}"))


def test_a_batch_is_shared_evenly(capsys, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert "--batch_size: 4 cannot be shared by 3 processes" in problems(capsys, "job")[0]
    assert parsed("job --batch_size 6").batch_size == 6
    assert "deeplab3 needs 6 or more" in problems(capsys, "job --batch_size 3 --arch deeplab3")[0]


def test_a_log_is_not_overwritten(capsys, folder):
    (folder / "logs").mkdir()
    (folder / "logs" / "log_job.txt").touch()
    assert "logs/log_job.txt exists; choose another name, or go on with --resume" in problems(capsys, "job")[0]
    assert parsed("job --resume").resume


def test_models_with_names():
    models = {"demo": Path("demo.safetensors")}
    assert parsed("job --load_model demo", models).load_model == "demo"
    assert parsed("job --load_model pascalvoc_resunet101").load_model == "pascalvoc_resunet101"


def test_what_resume_may_change():
    config = parsed("job")
    assert not {"resume", "device", "num_workers", "patience", "train_image_pat"} & config.fixed().keys()
    assert {"learning_rate", "num_epochs", "batch_size", "seed", "val_fraction"} <= config.fixed().keys()


def test_help_and_wrong_flags_need_no_torch(folder):
    draw_ellipses(folder, 1)
    guard = "import sys; sys.modules['torch'] = None; from dextr.train.__main__ import main; sys.exit(main())"
    for flags, code in ((["--help"], 0), (["job", *LABELS, "--batch_size=0"], 2)):
        result = subprocess.run([sys.executable, "-c", guard, *flags], capture_output=True, text=True, check=False)
        assert result.returncode == code, result.stderr
