"""What a model found in an image, whatever the types in which its heads give it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from maskworks.errors import Internal
from maskworks.types import Floats
from maskworks_mmdet.masks import Window


@dataclass(frozen=True)
class Detection:
    """One object.

    Attributes:
        index: its place among all that the model gives, for its mask.
        label: the number of its class.
        score: finite.
        box: (4,) float64 of x0, y0, x1, y1 in the image; None if the model gives none, or one that is not finite.
    """

    index: int
    label: int
    score: float
    box: Floats | None


@dataclass(frozen=True)
class Detections:
    """The objects of an image.

    Attributes:
        found: those that are usable, in the model's order.
        masks: for all that the model gives, in the forms that `maskworks_mmdet.masks` knows; None without masks.
        left_out: the number of those that are not usable: their score, or all that says where they are, is not finite,
            or their class is less than 0.
    """

    found: tuple[Detection, ...]
    masks: Any
    left_out: int


def detections(sample: Any) -> Detections:
    """The objects in a data sample of MMDetection.

    Heads give labels as floats, scores as columns or in bfloat16, boxes as numbers or as objects, without clipping.

    Raises:
        Internal: it has no objects, or their parts do not fit each other.
    """
    instances = sample.get("pred_instances")
    if instances is None:
        raise Internal("the model gives no objects; give a config of instance segmentation or detection")
    scores = _array(instances.scores).astype(np.float64).reshape(-1)
    labels = _array(instances.labels).astype(np.float64).reshape(-1)
    boxes = _boxes(instances.bboxes, sample.ori_shape[:2]) if "bboxes" in instances else [None] * len(scores)
    masks = instances.masks if "masks" in instances else None
    counts = {len(scores), len(labels), len(boxes), *(() if masks is None else (len(masks),))}
    if len(counts) > 1:
        raise Internal(f"the model gives different numbers of scores, labels, boxes and masks: {sorted(counts)}")
    found = tuple(_usable(scores, labels, boxes, masks))
    return Detections(found, masks, len(scores) - len(found))


def _usable(scores: Floats, labels: Floats, boxes: Sequence[Floats | None], masks: Any) -> Iterator[Detection]:
    for index, (score, label, box) in enumerate(zip(scores, labels, boxes, strict=True)):
        # A mask that was computed inside of a box is nowhere without it.
        placed = box is not None or (masks is not None and not isinstance(masks[index], Window))
        if placed and np.isfinite(score) and np.isfinite(label) and label >= 0:
            yield Detection(index, round(label), float(score), box)


def _boxes(given: Any, size: tuple[int, int]) -> list[Floats | None]:
    """Boxes as they are given; None for those that are not finite.

    Some heads do not clip theirs to the image. Those that reach farther beyond it than it is large are clipped here:
    no later step could compute with them.
    """
    boxes = _array(getattr(given, "tensor", given)).astype(np.float64)
    if boxes.size == 0:
        return []
    if boxes.shape[1:] != (4,):
        raise Internal(f"the model gives boxes of the shape {boxes.shape}; expected (N, 4), upright rectangles")
    edges = np.tile(np.array(size[::-1], np.float64), 2)
    far = (boxes < -edges) | (boxes > 2 * edges)
    clipped = np.where(far, np.clip(boxes, 0, edges), boxes)
    return [box if np.isfinite(own).all() else None for own, box in zip(boxes, clipped, strict=True)]


def _array(values: Any) -> NDArray[Any]:
    """Numbers of any type, on any device."""
    if not isinstance(values, torch.Tensor):
        return np.asarray(values)
    values = values.detach().cpu()
    return np.asarray((values.float() if values.dtype == torch.bfloat16 else values).numpy())
