"""A small data set in COCO's format to try a training with: coloured discs and boxes on a noisy background."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from maskworks.atomic_write import write_file
from maskworks.errors import ConfigError
from maskworks.types import Bytes

NAMES = ("disc", "box")
SIZE = (128, 128)  # height, width
_COLOURS = ((200, 50, 40), (50, 60, 210))
_MOST = 3  # objects in a picture
# Seeds of the pictures to train with, to validate with, and of those that no training sees.
TRAINING, VALIDATION, NEW = range(24), range(24, 30), range(30, 36)


def write_sample(folder: Path) -> None:
    """Writes `train.json`, `val.json`, their pictures in `images`, and further ones, without annotations, in `new`.

    Args:
        folder: where to; it is created.

    Raises:
        ConfigError: it holds one of these already, or cannot be written.
    """
    there = [name for name in ("train.json", "val.json", "images", "new") if (folder / name).exists()]
    if there:
        raise ConfigError([f"FOLDER: {folder} has {', '.join(there)} already; choose another folder"])
    try:
        for name in ("images", "new"):
            (folder / name).mkdir(parents=True)
        write_coco(folder, "train.json", TRAINING)
        write_coco(folder, "val.json", VALIDATION)
        for seed in NEW:
            write_picture(folder / "new", seed)
    except OSError as error:
        raise ConfigError([f"FOLDER: {folder}: {error.strerror}; choose a folder you can write to"]) from None


def picture(seed: int) -> tuple[Bytes, list[tuple[int, Bytes]]]:
    """An image, (H, W, 3) uint8 RGB, and its objects: class and (H, W) uint8 mask, none of them overlapping."""
    random = np.random.default_rng(seed)
    image = random.normal((90, 100, 110), 12, (*SIZE, 3)).clip(0, 255).astype(np.uint8)
    taken = np.zeros(SIZE, np.uint8)
    objects: list[tuple[int, Bytes]] = []
    for _ in range(20):
        kind, mask = _shape(random)
        if np.logical_and(cv2.dilate(mask, np.ones((5, 5), np.uint8)), taken).any():
            continue
        taken |= mask
        image[mask == 1] = (np.array(_COLOURS[kind]) + random.normal(0, 12, (int(mask.sum()), 3))).clip(0, 255)
        objects.append((kind, mask))
        if len(objects) == _MOST:
            break
    return image, objects


def write_picture(folder: Path, seed: int) -> tuple[str, list[tuple[int, Bytes]]]:
    """Writes the picture of a seed; its file name, and its objects."""
    image, objects = picture(seed)
    name = f"picture{seed:02}.png"
    write_file(folder / name, cv2.imencode(".png", image[:, :, ::-1])[1].tobytes())
    return name, objects


def write_coco(folder: Path, file: str, seeds: Sequence[int]) -> None:
    """Pictures into `folder/images`, their annotations into `folder/file`."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for seed in seeds:
        name, objects = write_picture(folder / "images", seed)
        images.append({"id": seed, "file_name": name, "height": SIZE[0], "width": SIZE[1]})
        annotations += [_annotation(1000 * seed + index, seed, *one) for index, one in enumerate(objects, 1)]
    categories = [{"id": index, "name": name} for index, name in enumerate(NAMES, 1)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    write_file(folder / file, json.dumps(content).encode())


def _shape(random: np.random.Generator) -> tuple[int, Bytes]:
    """The class of an object, and its mask."""
    kind, mask = int(random.integers(2)), np.zeros(SIZE, np.uint8)
    x, y, radius = (int(v) for v in random.integers((24, 24, 14), (104, 104, 24)))
    if kind == 0:
        cv2.circle(mask, (x, y), radius, 1, -1)
    else:
        corners = cv2.boxPoints(((x, y), (2 * radius, radius), float(random.integers(-30, 30))))
        cv2.fillPoly(mask, [corners.round().astype(np.int32)], 1)
    return kind, mask


def _annotation(number: int, image: int, kind: int, mask: Bytes) -> Mapping[str, Any]:
    (ring, *_), _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return {
        "id": number, "image_id": image, "category_id": kind + 1, "bbox": list(cv2.boundingRect(mask)),
        "area": int(mask.sum()), "segmentation": [ring.ravel().tolist()], "iscrowd": 0,
    }  # fmt: skip
