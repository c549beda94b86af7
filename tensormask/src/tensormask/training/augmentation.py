"""Random sizes and flips of images and their objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco
from torch import Tensor

from tensormask import preprocessing
from tensormask.config import Config
from tensormask.preprocessing import Array
from tensormask.training.ground_truth import GroundTruth, Polygons
from tensormask.training.mask_targets import whole_mask

Sample = tuple[Tensor, GroundTruth]
_SMALLEST_SIDE = 1e-5


@dataclass(frozen=True)
class Augmentation:
    """Scales the shorter side to one of the config's sizes and mirrors every other image."""

    config: Config

    def apply(self, image: Array, annotations: Sequence[dict[str, Any]], rng: np.random.Generator) -> Sample:
        """An image (H, W, 3) uint8 and its annotations to (3, h, w) uint8 and its ground truth."""
        sizes, height, width = self.config.min_size_train, image.shape[0], image.shape[1]
        by_range = self.config.min_size_train_sampling == "range"
        shortest = int(rng.integers(sizes[0], sizes[-1] + 1)) if by_range else int(rng.choice(sizes))
        new = preprocessing.resized_size((height, width), shortest, self.config.max_size_train)
        flip = self.config.random_flip == "horizontal" and rng.random() < 0.5
        scale = np.array([new[1] / width, new[0] / height])
        resized = preprocessing.resize(np.ascontiguousarray(image), new)
        resized = resized[:, ::-1] if flip else resized
        boxes, classes, shapes = [], [], []
        for annotation in annotations:
            box = _box(annotation["bbox"], scale, new, flip)
            shape = _shape(annotation["segmentation"], scale, new, flip) if self.config.mask_on else None
            if (box[2:] - box[:2]).min() > _SMALLEST_SIDE and (not isinstance(shape, list) or shape):
                boxes.append(box)
                classes.append(annotation["category"])
                shapes.append(shape)
        return torch.from_numpy(resized.transpose(2, 0, 1).copy()), self._truth(boxes, classes, shapes, new)

    def _truth(
        self, boxes: list[NDArray[np.float64]], classes: list[int], shapes: list[Any], size: tuple[int, int]
    ) -> GroundTruth:
        box_tensor = torch.tensor(np.array(boxes).reshape(-1, 4), dtype=torch.float32)
        class_tensor = torch.tensor(classes, dtype=torch.int64)
        if not self.config.mask_on:
            return GroundTruth(box_tensor, class_tensor)
        if self.config.mask_format == "polygon":
            return GroundTruth(box_tensor, class_tensor, polygons=tuple(shapes))
        masks = [whole_mask(_as_lists(shape), *size) if isinstance(shape, list) else shape for shape in shapes]
        stacked = np.stack(masks) if masks else np.zeros((0, *size), np.uint8)
        return GroundTruth(box_tensor, class_tensor, masks=torch.from_numpy(stacked.astype(bool)))


def _box(xywh: Sequence[float], scale: NDArray[np.float64], size: tuple[int, int], flip: bool) -> NDArray[np.float64]:
    x, y, width, height = xywh
    corners = np.array([[x, y], [x + width, y + height]]) * scale
    if flip:
        corners[:, 0] = size[1] - corners[::-1, 0]
    return np.clip(corners, 0, size[::-1]).ravel()


def _shape(segmentation: Any, scale: NDArray[np.float64], size: tuple[int, int], flip: bool) -> Polygons | Array:
    if isinstance(segmentation, list):
        parts = [np.array(part, dtype=np.float64) for part in segmentation if len(part) >= 6 and len(part) % 2 == 0]
        polygons = []
        for part in parts:
            points = part.reshape(-1, 2) * scale
            if flip:
                points[:, 0] = size[1] - points[:, 0]
            polygons.append(points.ravel())
        return polygons
    if isinstance(segmentation["counts"], list):
        segmentation = coco.frPyObjects(segmentation, *segmentation["size"])
    mask = Image.fromarray(coco.decode(segmentation))
    resized = np.asarray(mask.resize((size[1], size[0]), Image.Resampling.NEAREST))
    return resized[:, ::-1].copy() if flip else resized


def _as_lists(polygons: Polygons) -> list[list[float]]:
    return [part.tolist() for part in polygons]
