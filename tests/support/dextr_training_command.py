"""The training program as its users start it, and small data for it."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

# A training of a mobileunet on crops of 64 pixels: some tens of milliseconds per step.
SMALL = (
    "--arch=mobileunet", "--backbone_weights=none", "--target_size=64", "--padding=4", "--blob_sigma=3",
    "--extreme_range=2", "--opt_type=adam", "--learning_rate=0.01", "--pretrained_lr_factor=1", "--batch_size=4",
    "--iters_per_epoch=3", "--num_epochs=3", "--val_every_n_epochs=1", "--num_workers=0", "--seed=3",
)  # fmt: skip
# One thread, so that the sums of the net do not depend on how busy the machine is.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def command(job, *flags):
    return [sys.executable, "-m", "dextr.train", job, *map(str, flags)]


def train(folder, job, *flags):
    """What the program did: `returncode`, `stdout`, `stderr`."""
    return subprocess.run(
        command(job, *flags), cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


def curve(folder, job, *columns):
    """The columns of the job's curves, as text, epoch by epoch."""
    with (folder / "logs" / f"{job}.csv").open(newline="") as file:
        return [tuple(row[column] for column in columns) for row in csv.DictReader(file)]


def draw_ellipses(folder: Path, count: int, size=(60, 80), objects=None):
    """`count` images `photo<i>.png` of bright ellipses, one and two in turns or `objects`, their labels and masks."""
    random = np.random.RandomState(0)
    height, width = size
    for name in ("images", "labels", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        label = np.zeros(size, dtype=np.uint8)
        inside = objects or 1 + number % 2
        for index in range(inside):
            axes = (random.uniform(0.15, 0.28, size=2) * height).astype(int).tolist()
            centre = (width * (2 * index + 1) // (2 * max(inside, 2)), height // 2)
            cv2.ellipse(label, centre, axes, random.uniform(180), 0, 360, index + 1, -1)
            mask = Image.fromarray((label == index + 1).astype(np.uint8) * np.uint8(255))
            mask.save(folder / "masks" / f"photo{number}_mask{index}.png")
        photo = random.randint(0, 60, size=(*size, 3)) + 150 * (label > 0)[:, :, None]
        Image.fromarray(photo.astype(np.uint8)).save(folder / "images" / f"photo{number}.png")
        Image.fromarray(label).save(folder / "labels" / f"photo{number}_labels.png")
    return folder


LABELS = ("--dataset=custom_label", "--train_image_pat=images/*.png", "--train_target_pat=labels/*.png")
MASKS = ("--dataset=custom_mask", "--train_image_pat=images/*.png", "--train_target_pat=masks/*.png")
