"""Masks and rings: tracing, filling, boxes. Pure numpy and OpenCV.

A ring runs through pixel centres: the outer ring through the outermost pixels of a part, the ring of a hole through
the outermost pixels of that hole. So one rule restores a mask from both: fill the polygon with its border included
(`cv2.fillPoly` and `PIL.ImageDraw.polygon` both do it exactly, as the edges of an exact ring are level, upright or
diagonal). Parts are 8-connected, holes 4-connected, as in Suzuki and Abe, "Topological structural analysis of digitized
binary images by border following" (1985), which OpenCV implements.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np

from maskworks.holes import hole_rings
from maskworks.types import Bytes, Floats, Instance, Mask, Points, Region

Box = tuple[int, int, int, int]

_BAND = 64  # so many rows are looked at together


def trace(mask: Mask, offset: tuple[int, int] = (0, 0), simplify: float = 0.0) -> tuple[Region, ...]:
    """Rings of all parts of a mask, from top to bottom and left to right by their first pixel.

    Args:
        mask: (h, w) bool or uint8; everything but 0 is inside.
        offset: x and y that are added to all points.
        simplify: the largest distance in pixels by which a ring may leave the exact one (Douglas and Peucker); 0 keeps
            every corner, and then `fill` of the result is the mask again.
    """
    rows, columns = _extent(mask)
    inner = mask[rows, columns].view(np.uint8)
    if inner.size == 0:
        return ()
    shift = (int(offset[0]) + columns.start, int(offset[1]) + rows.start)
    found, hierarchy = cv2.findContours(inner, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE, offset=shift)
    borders = [np.asarray(border[:, 0], np.int32) for border in found]
    parents = hierarchy[0, :, 3].tolist()
    inside = [index for index, parent in enumerate(parents) if parent >= 0]
    holes: dict[int, list[Points]] = {}
    for index, ring in zip(inside, hole_rings([borders[index] for index in inside]), strict=True):
        holes.setdefault(parents[index], []).append(_finished(ring, simplify))
    regions = [
        Region(_finished(borders[index], simplify), tuple(holes.get(index, ())))
        for index, parent in enumerate(parents)
        if parent < 0
    ]
    return tuple(reversed(regions))


def fill(regions: Iterable[Region], shape: tuple[int, int], offset: tuple[int, int] = (0, 0)) -> Bytes:
    """The mask that the rings describe: (H, W) uint8 of 0 and 1 for `shape` = (H, W). Points outside are cut off.

    `offset` is x and y of the mask's first pixel, where it is a part of the image.
    """
    mask = np.zeros(shape, np.uint8)
    left, top = offset
    for region in regions:
        x0, y0, x1, y1 = bounding_box(region.outer)
        part = np.zeros((y1 - y0 + 1, x1 - x0 + 1), np.uint8)
        origin = (-x0, -y0)
        cv2.fillPoly(part, [region.outer], 1, offset=origin)
        for hole in region.holes:
            cv2.fillPoly(part, [hole], 0, offset=origin)
        target, source = overlap(part.shape, (x0 - left, y0 - top), shape)
        mask[target] |= part[source]
    return mask


def drop_specks(mask: Mask, min_area: float) -> Bytes:
    """The mask, (h, w) uint8 of 0 and 1, without its 8-connected parts of fewer than `min_area` pixels."""
    inside = as_uint8(mask)
    if min_area <= 1 or inside.size == 0:  # OpenCV crashes on images without pixels
        return inside
    _, parts, stats, _ = cv2.connectedComponentsWithStats(inside, connectivity=8)
    keep = (stats[:, cv2.CC_STAT_AREA] >= min_area).astype(np.uint8)
    keep[0] = 0
    return np.asarray(keep[parts], np.uint8)


def compose(instances: Sequence[Instance], shape: tuple[int, int]) -> Bytes:
    """One (H, W) uint8 image of palette indices from the masks of many instances; the later ones lie on top."""
    image = np.zeros(shape, np.uint8)
    for instance in instances:
        pixels = instance.pixels()
        if pixels is not None:
            paint(image, pixels, instance.offset, instance.palette_index)
    return image


def paint(image: Bytes, mask: Mask, offset: tuple[int, int], label: int, *, below: bool = False) -> None:
    """Puts a mask into an image (H, W) of palette indices, a few rows at a time: over all that is there, or `below`."""
    target, source = overlap(mask.shape, offset, image.shape)
    for part, inside in bands(image[target], mask[source]):
        free = np.logical_and(inside, part == 0).view(np.uint8) if below else inside
        cv2.copyTo(np.full_like(part, label), free, part)


def bands(image: Bytes, mask: Mask) -> Iterator[tuple[Bytes, Bytes]]:
    """Some rows at a time of an image and of a mask of its size, (n, w, ...) and (n, w) uint8.

    What is computed of them is small, and stays in the processor's cache.
    """
    for start in range(0, len(mask) if mask.size else 0, _BAND):
        rows = slice(start, start + _BAND)
        yield image[rows], as_uint8(mask[rows])


def bounding_box(ring: Points) -> Box:
    """Smallest and largest coordinates of a ring as x0, y0, x1, y1; both ends belong to the box."""
    x, y, width, height = cv2.boundingRect(ring)
    return x, y, x + width - 1, y + height - 1


def min_area_rectangle(ring: Points) -> tuple[float, float]:
    """Width and height, in pixels and with width <= height, of the smallest rotated rectangle around a ring."""
    _, (a, b), _ = cv2.minAreaRect(ring)
    return float(min(a, b)), float(max(a, b))


def extreme_values(mask: Mask, offset: tuple[int, int] = (0, 0)) -> Floats | None:
    """Left, top, right and bottom pixel of a mask as (4,) float64 of x0, y0, x1, y1; None if it is empty."""
    x, y, width, height = cv2.boundingRect(as_uint8(mask))
    if width == 0:
        return None
    x0, y0 = x + offset[0], y + offset[1]
    return np.array([x0, y0, x0 + width - 1, y0 + height - 1], np.float64)


def overlap(
    part: tuple[int, ...], offset: tuple[int, int], shape: tuple[int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The place of a part of size (h, w) at `offset` = (x, y) in an image of size (H, W), cut to it."""
    (height, width), (x, y) = shape, offset
    top, left = max(y, 0), max(x, 0)
    bottom, right = max(min(y + part[0], height), top), max(min(x + part[1], width), left)
    target = (slice(top, bottom), slice(left, right))
    source = (slice(top - y, bottom - y), slice(left - x, right - x))
    return target, source


def as_uint8(mask: Mask) -> Bytes:
    """The mask as contiguous uint8 without a copy where there is none needed."""
    return np.ascontiguousarray(mask).view(np.uint8)


def _extent(mask: Mask) -> tuple[slice, slice]:
    """The rows and columns that hold all of a mask; looking for them is much cheaper than following borders."""
    rows = _rows(mask.view(np.bool_))
    return rows, _range(mask[rows].max(axis=0, initial=0))


def _rows(inside: Mask) -> slice:
    """The rows that hold all of a mask, found from both ends, so that the rows between are not read."""
    starts = range(0, len(inside), _BAND)
    first = next((start for start in starts if inside[start : start + _BAND].any()), None)
    if first is None:
        return slice(0, 0)
    last = next(start for start in reversed(starts) if inside[start : start + _BAND].any())
    top, bottom = (_range(inside[start : start + _BAND].max(axis=1)) for start in (first, last))
    return slice(first + top.start, last + bottom.stop)


def _range(line: Mask) -> slice:
    inside = np.flatnonzero(line)
    return slice(int(inside[0]), int(inside[-1]) + 1) if inside.size else slice(0, 0)


def _simplified(ring: Points, distance: float) -> Points:
    """Douglas and Peucker (1973) on a closed ring: of each stretch the point furthest from its chord stays, if needed.

    OpenCV's version measures to the chord's endless line and thins out the result once more, so its points may lie
    further away than was asked for. All stretches that are still open are split at once here.
    """
    closed = np.concatenate([ring, ring[:1]]).astype(np.float64)
    opposite = int(np.square(closed - closed[0]).sum(axis=1).argmax())
    kept = [np.array([0, opposite])]
    first, last = kept[0], np.array([opposite, len(ring)])
    while len(first):
        length = last - first
        stretch = np.repeat(np.arange(len(first)), length)
        begin = np.cumsum(length) - length
        index = np.arange(len(stretch)) + (first - begin)[stretch]
        chord, point = (closed[last] - closed[first])[stretch], closed[index] - closed[first[stretch]]
        along = (point * chord).sum(axis=1) / np.maximum((chord * chord).sum(axis=1), 1)
        deviation = np.hypot(*(point - np.clip(along, 0, 1)[:, None] * chord).T)
        furthest = np.maximum.reduceat(deviation, begin)
        far = np.flatnonzero((deviation > distance) & (deviation == furthest[stretch]))
        split, order = np.unique(stretch[far], return_index=True)
        middle = index[far[order]]
        kept.append(middle)
        first, last = np.concatenate([first[split], middle]), np.concatenate([middle, last[split]])
    corners = np.sort(np.concatenate(kept))
    return ring[corners] if len(corners) >= 3 else ring


def _finished(ring: Points, simplify: float) -> Points:
    if simplify > 0 and len(ring) > 3:
        ring = _simplified(ring, simplify)
    if len(ring) >= 3:
        return ring
    # A single pixel and a line have fewer corners than readers of polygons accept: repeat the last one.
    return ring[[0, -1, -1]]
