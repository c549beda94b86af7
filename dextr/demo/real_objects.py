"""Real objects in the demo photos, with outlines drawn by hand, and how well a mask matches one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

REPOSITORY = Path(__file__).parents[2]
PHOTOS = REPOSITORY / "dextr" / "demo" / "photos"
OBJECTS = REPOSITORY / "tests" / "golden" / "dextr_demo" / "objects.json"
SUBPIXEL_BITS = 4


@dataclass(frozen=True, eq=False)
class RealObject:
    """An object of a photo.

    Attributes:
        photo: file name of the photo.
        name: what it is.
        image: the photo, (H, W, 3) RGB uint8.
        points: (4, 2) its extreme points [y, x]: the middle of its top, bottom, left and right edge pixels.
        mask: (H, W) bool.
    """

    photo: str
    name: str
    image: NDArray[np.uint8]
    points: NDArray[np.float64]
    mask: Mask


def filled(polygon: list[list[float]], size: tuple[int, int]) -> Mask:
    """The pixels of a polygon of [x, y] pixel centres, its border included, in an image of (height, width)."""
    mask = np.zeros(size, np.uint8)
    corners = np.round(np.array(polygon) * 2**SUBPIXEL_BITS).astype(np.int32)
    cv2.fillPoly(mask, [corners], 1, cv2.LINE_8, SUBPIXEL_BITS)
    return mask > 0


def real_objects(photos: Path = PHOTOS, objects: Path = OBJECTS) -> list[RealObject]:
    """All objects of an annotation file: ``{photo: [{"name", "points": [[x, y] * 4], "polygon": [[x, y], ...]}]}``.

    Raises:
        FileNotFoundError: a photo of the file is not in ``photos``.
    """
    found = []
    for photo, entries in json.loads(objects.read_text()).items():
        stored = cv2.imread(str(photos / photo), cv2.IMREAD_COLOR)
        if stored is None:
            raise FileNotFoundError(f"{photos / photo} is not there or no image; {objects.name} has objects in it")
        image = np.ascontiguousarray(stored[..., ::-1], dtype=np.uint8)
        for entry in entries:
            points = np.array(entry["points"], np.float64)[:, ::-1]
            found.append(RealObject(photo, entry["name"], image, points, filled(entry["polygon"], image.shape[:2])))
    return found


def iou(mask: Mask, truth: Mask) -> float:
    """Intersection over union of two masks of which at least one is not empty."""
    return float((mask & truth).sum() / (mask | truth).sum())
