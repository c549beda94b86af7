"""Writes made-up photos and their label images: ``NNNNNN.jpg`` and ``NNNNNN_label.png``.

python dextr/demo/generate.py FOLDER --scenes 5000 --seed 0
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
from pathlib import Path

import cv2
from scenes.material import Material
from scenes.scene import random_scene
from sources import load_material

JPEG_QUALITY = 95


@functools.cache
def material() -> Material:
    """The material, loaded once for each process."""
    cv2.setNumThreads(1)
    return load_material()


def write_scene(folder: Path, seed: int) -> int:
    """Writes the scene of a seed if it has objects; returns how many."""
    image, labels = random_scene(seed, material())
    count = int(labels.max())
    if count:
        quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        cv2.imwrite(str(folder / f"{seed:06d}.jpg"), image[..., ::-1], quality)
        cv2.imwrite(str(folder / f"{seed:06d}_label.png"), labels)
    return count


def generate(folder: Path, seeds: range, workers: int) -> None:
    """Writes the scenes of all seeds."""
    folder.mkdir(parents=True, exist_ok=True)
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for _ in pool.imap_unordered(functools.partial(write_scene, folder), seeds, chunksize=8):
            pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the images go")
    parser.add_argument("--scenes", type=int, default=5000, help="number of photos (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first photo (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: %(default)s)")
    args = parser.parse_args()
    generate(args.folder, range(args.seed, args.seed + args.scenes), args.workers)


if __name__ == "__main__":
    main()
