"""From a mask to the polygons in a reply, as JSON text.

Ours is `maskworks.geometry.trace`, whose arrays are written as they are. The peer traces with scikit-image at sub-pixel
positions, builds its lists point by point in Python and writes them with the json module, which is how the tools before
this one did it. Agreement is the IoU of the filled rings with the mask: peer / ours. The peer lists the rings of holes
like those of parts; here they are told apart by their direction.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

import cv2
import numpy as np
from skimage.measure import find_contours

from benchmarks.harness import Row, alternate
from maskworks.freed_memory import keep_freed_memory
from maskworks.geometry import fill, trace
from maskworks.wire import jsontext
from tests.support.iou import iou

SIZES = ((1024, 1024), (3000, 4000))


def run() -> Iterator[Row]:
    keep_freed_memory()  # as the workers do; both sides gain
    for height, width in SIZES:
        for name, mask in masks(height, width).items():
            peer, ours = alternate(partial(point_by_point_text, mask), partial(ring_text, mask), rounds=9)
            peer_iou = iou(filled(point_by_point(mask), mask.shape), mask)
            ours_iou = iou(fill(trace(mask), (height, width)), mask)
            rings = json.loads(ring_text(mask))
            note = f"{len(rings)} rings, {sum(map(len, rings))} points"
            yield Row(f"{width}x{height} {name}", peer, ours, f"{peer_iou:.4f} / {ours_iou:.4f}", note)


def masks(height: int, width: int) -> dict[str, np.ndarray]:
    """Masks, (height, width) uint8 of 0 and 1, by name."""
    rng = np.random.default_rng(0)
    short = min(height, width)
    centre, axes = (width // 2, height // 2), (int(0.35 * short), int(0.25 * short))
    blob = cv2.ellipse(np.zeros((height, width), np.uint8), centre, axes, 30, 0, 360, 1, -1)
    holes = blob.copy()
    for angle in range(5):
        x, y = (0.15 * short * f(2 * np.pi * angle / 5) for f in (np.cos, np.sin))
        cv2.circle(holes, (int(centre[0] + x), int(centre[1] + y)), short // 25, 0, -1)
    many = np.zeros((height, width), np.uint8)
    for _ in range(60):
        spot = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.ellipse(many, spot, (short // 25, short // 40), float(rng.integers(180)), 0, 360, 1, -1)
    distance = cv2.distanceTransform(blob, cv2.DIST_L2, 3) - cv2.distanceTransform(1 - blob, cv2.DIST_L2, 3)
    noise = cv2.GaussianBlur(rng.standard_normal((height, width)).astype(np.float32), (0, 0), 2)
    noisy = (distance / 8 + 12 * noise > 0).astype(np.uint8)
    return {"one blob": blob, "five holes": holes, "many blobs": many, "noisy edge": noisy}


def ring_text(mask: np.ndarray) -> bytes:
    """Ours: the rings of all parts and holes as lists of [x, y]."""
    return jsontext.write([ring for region in trace(mask) for ring in (region.outer, *region.holes)])


def point_by_point(mask: np.ndarray) -> list[list[list[int]]]:
    """The peer: iso-lines at one half, every point converted for itself."""
    polygons = []
    for contour in find_contours(mask, 0.5, fully_connected="high"):
        polygon = []
        for position in contour:
            polygon.append([int(position[1]), int(position[0])])
        polygons.append(polygon)
    return polygons


def point_by_point_text(mask: np.ndarray) -> str:
    """The peer's polygons as JSON."""
    return json.dumps(point_by_point(mask))


def filled(polygons: list[list[list[int]]], shape: tuple[int, int]) -> np.ndarray:
    """The mask of the peer's polygons: those that run around holes are cleared."""
    mask = np.zeros(shape, np.uint8)
    rings = [np.array(polygon, np.int32) for polygon in polygons]
    for ring in sorted(rings, key=cv2.contourArea, reverse=True):
        cv2.fillPoly(mask, [ring], int(cv2.contourArea(ring, oriented=True) > 0))
    return mask
