"""The objects of an annotation: connected regions of its labels, and their outlines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Outline = NDArray[np.int64]


def mask_outline(mask: NDArray[Any]) -> Outline:
    """The pixels of a mask that have one of their four neighbours outside of the mask or of the image.

    Args:
        mask: (H, W), true or not 0 inside.

    Returns:
        int64 (M, 2), rows [y, x] in row-major order.
    """
    inside = np.pad(np.asarray(mask, dtype=bool), 1)
    centre = inside[1:-1, 1:-1]
    interior = inside[:-2, 1:-1] & inside[2:, 1:-1] & inside[1:-1, :-2] & inside[1:-1, 2:]
    return np.argwhere(centre & ~interior).astype(np.int64, copy=False)


def label_regions(labels: NDArray[Any]) -> Iterator[tuple[int, int, Outline]]:
    """Every 4-connected region of every label.

    Args:
        labels: integers (H, W), where a label is a number above 0; or (H, W, N), where label n is what is above 0 in
            channel n - 1.

    Yields:
        Label, number of the region among those of its label (-1 if it is the only one), outline in the image.
    """
    for label, (top, left), mask in _label_masks(labels):
        components, count = ndimage.label(mask)
        for component, window in enumerate(ndimage.find_objects(components)):
            # Each step looks at the box of its region only: labels are many and small.
            rows, columns = window
            outline = mask_outline(components[window] == component + 1)
            offset = np.array([top + rows.start, left + columns.start])
            yield label, component if count > 1 else -1, outline + offset


def region_at(mask: NDArray[np.bool_], outline: Outline) -> NDArray[np.bool_]:
    """The 4-connected region of a mask (H, W) that has this outline."""
    low, high = outline.min(axis=0), outline.max(axis=0) + 1
    window = slice(low[0], high[0]), slice(low[1], high[1])
    components, _ = ndimage.label(mask[window])
    region = np.zeros_like(mask)
    region[window] = components == components[tuple(outline[0] - low)]
    return region


def _label_masks(labels: NDArray[Any]) -> Iterator[tuple[int, tuple[int, int], NDArray[np.bool_]]]:
    if labels.ndim == 3:
        for channel in range(labels.shape[2]):
            yield channel + 1, (0, 0), labels[:, :, channel] > 0
        return
    numbers = labels.astype(np.int64, copy=False)
    for label, window in enumerate(ndimage.find_objects(numbers), 1):
        if window is not None:
            yield label, (window[0].start, window[1].start), labels[window] == label
