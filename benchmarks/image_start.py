"""From nothing to the first prediction: `dextr_predict_poll` with the demo model on one photo.

The peer is the command of this environment, ours is the same in the image of DEXTR, with all that it takes to make a
container. Wanted is 1.5 times the peer's time at most. The agreement is the IoU of both masks. Needs an image,
`make build/dextr-cpu`, and an engine that can run it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.harness import Row, alternate_timed
from tests.support.container import ROOT, built, open_image
from tests.support.iou import iou

PHOTO = ROOT / "dextr" / "demo" / "photos" / "coffee.jpg"
COMMAND = ["dextr_predict_poll", "--model", "demo", "--device", "cpu", "--quiet"]


def run() -> Iterator[Row]:
    """Yields a row for each image of DEXTR that is built here."""
    found = subprocess.run([ROOT / "docker" / "builder"], capture_output=True, text=True, check=False).stdout.strip()
    for name in built(found) if found else []:
        if name.startswith("dextr-"):
            yield compare(found, name)


def compare(program: str, name: str) -> Row:
    """Times the command here and in the image in turns."""
    image = open_image(program, name)
    user = f"{os.getuid()}:{os.getgid()}"
    with tempfile.TemporaryDirectory() as folder:
        here, there = Path(folder, "here"), Path(folder, "there")
        bare = [Path(sys.executable).parent / COMMAND[0], *COMMAND[1:], *folders(here)]
        inside = [*COMMAND, *folders(Path("/data"))]
        try:
            peer, ours = alternate_timed(
                lambda: timed(here, lambda: subprocess.run(bare, check=True)),
                lambda: timed(there, lambda: image.run(*inside, user=user, mounts={"/data": there}).check_returncode()),
            )
        finally:
            image.engine.close()
        masks = [np.array(Image.open(side / "out" / "coffee.png")) for side in (here, there)]
    return Row(f"{name}, with {program}", peer, ours, f"{iou(*masks):.3f}", f"{ours / peer:.2f} times the peer's time")


def folders(root: Path) -> list[str]:
    """The flags for the input and the output folder."""
    return ["--prediction_in", str(root / "in"), "--prediction_out", str(root / "out")]


def timed(root: Path, predict: Callable[[], object]) -> float:
    """Seconds for one photo in a fresh folder."""
    shutil.rmtree(root, ignore_errors=True)
    (root / "in").mkdir(parents=True)
    for file in (PHOTO, PHOTO.with_suffix(".points")):
        shutil.copy(file, root / "in")
    begun = time.perf_counter()
    predict()
    return time.perf_counter() - begun
