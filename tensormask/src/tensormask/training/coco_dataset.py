"""Images and objects from COCO's annotation files."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from torch.utils.data import Dataset

from maskworks.regular_file import open_regular
from tensormask.config import Config
from tensormask.config_values import shown
from tensormask.errors import DatasetError
from tensormask.preprocessing import Array
from tensormask.training.augmentation import Augmentation, Sample

_FARTHEST = 1e9  # pixels; neither infinite nor NaN is below it


@dataclass(frozen=True)
class Record:
    """An image and its annotations.

    Attributes:
        path: of the image.
        height, width: of the image, upright.
        annotations: as in the file, without crowds, with the class from 0 as `category`.
    """

    path: Path
    height: int
    width: int
    annotations: tuple[dict[str, Any], ...]


class CocoDataset(Dataset[Sample]):
    """Training samples by (number of the image, seed of its augmentation).

    Args:
        records: at least one.
        augmentation: makes samples of images.
        image_format: `BGR` or `RGB`.
    """

    def __init__(self, records: Sequence[Record], augmentation: Augmentation, image_format: str) -> None:
        self.records, self._augmentation, self._format = records, augmentation, image_format

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        index, seed = key
        record = self.records[index]
        image = _read_image(record, self._format)
        return self._augmentation.apply(image, record.annotations, np.random.default_rng(seed))


def read_records(annotations: Path, images: Path, config: Config) -> list[Record]:
    """The images to train on; those without objects are left out unless the config keeps them.

    Classes are the ranks of COCO's category ids.

    Raises:
        DatasetError: the file is missing or not COCO's, has other classes than the config, or nothing is left.
    """
    try:
        content = json.loads(annotations.read_bytes())
        classes = {key: rank for rank, key in enumerate(sorted(entry["id"] for entry in content["categories"]))}
        found: dict[int, list[dict[str, Any]]] = {entry["id"]: [] for entry in content["images"]}
        for entry in content["annotations"]:
            if not entry.get("iscrowd", 0) and _usable(entry, config, annotations):
                found[entry["image_id"]].append({**entry, "category": classes[entry["category_id"]]})
        records = [
            Record(images / entry["file_name"], entry["height"], entry["width"], tuple(found[entry["id"]]))
            for entry in content["images"]
        ]
    except OSError as error:
        raise DatasetError(f"{annotations}: cannot be read: {error.strerror}; expected COCO annotations") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"[:200]
        raise DatasetError(f"{annotations}: not COCO annotations of instances ({reason})") from None
    if len(classes) != config.num_classes:
        raise DatasetError(
            f"{annotations}: {len(classes)} categories; the config has {config.num_classes} "
            "(MODEL.TENSOR_MASK.NUM_CLASSES)"
        )
    if config.filter_empty:
        records = [record for record in records if record.annotations]
    if not records:
        raise DatasetError(f"{annotations}: no image with objects to train on")
    return records


def named_files(name: str) -> tuple[Path, Path]:
    """Annotation file and image folder of a data set such as `coco_2017_train`.

    They are looked for in `$DETECTRON2_DATASETS/coco`, by default `datasets/coco`.

    Raises:
        DatasetError: not a name of COCO's.
    """
    parts = re.fullmatch(r"coco_(\d{4})_(train|val)", name)
    if parts is None:
        raise DatasetError(
            f"DATASETS.TRAIN: {name} is unknown; expected coco_2017_train, or --annotations and --images"
        )
    root = Path(os.environ.get("DETECTRON2_DATASETS", "datasets")) / "coco"
    year, split = parts.groups()
    return root / "annotations" / f"instances_{split}{year}.json", root / f"{split}{year}"


def _usable(annotation: dict[str, Any], config: Config, origin: Path) -> bool:
    box = annotation.get("bbox")
    if not (isinstance(box, list) and len(box) == 4 and all(_is_number(value) for value in box)):
        raise DatasetError(
            f"{origin}: annotation {annotation.get('id')} has the bbox {shown(box)}; expected four numbers: x, y, "
            "width and height"
        )
    if not config.mask_on:
        return True
    shape = annotation.get("segmentation")
    if isinstance(shape, dict) and config.mask_format == "polygon":
        raise DatasetError(
            f"{origin}: annotation {annotation.get('id')} is run-length encoded; set INPUT.MASK_FORMAT to bitmask"
        )
    if isinstance(shape, list):
        return any(len(part) >= 6 and len(part) % 2 == 0 for part in shape)
    return isinstance(shape, dict)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and abs(value) < _FARTHEST


def _read_image(record: Record, image_format: str) -> Array:
    try:
        with open_regular(record.path) as file, Image.open(file) as image:
            upright = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise DatasetError(f"{record.path}: cannot be read: {error}") from None
    if upright.shape[:2] != (record.height, record.width):
        size = f"{upright.shape[1]}x{upright.shape[0]}"
        raise DatasetError(f"{record.path}: {size} pixels; its annotations say {record.width}x{record.height}")
    return upright[:, :, ::-1] if image_format == "BGR" else upright
