"""Extreme points as a user might click them: picked at random near the four ends of a mask."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.int64]


def pick_points(
    mask: NDArray[np.bool_], outline: NDArray[np.float64], extreme_range: int, rng: np.random.RandomState
) -> Points:
    """`points_in_mask`, or, where the object is so thin that no pixel of the mask shows it, `points_in_outline`.

    Args:
        mask: bool (H, W).
        outline: float (M, 2), rows [y, x], in the coordinates of the mask.
        extreme_range, rng: see `points_in_mask`.
    """
    picks = points_in_mask(mask, extreme_range, rng)
    return points_in_outline(np.floor(outline).astype(np.int64), extreme_range, rng) if picks is None else picks


def points_in_mask(mask: NDArray[np.bool_], extreme_range: int, rng: np.random.RandomState) -> Points | None:
    """Four pixels of a mask, near its top, bottom, left and right end, in this order.

    A candidate for the top is any pixel at most `extreme_range` rows below the topmost one, and so on. Candidates are
    numbered in row-major order, and one number is drawn per end where there is more than one candidate.

    Args:
        mask: bool (H, W).
        extreme_range: in pixels, 0 or more.
        rng: where the draws come from.

    Returns:
        int64 (4, 2), rows [y, x], or None if the mask is empty.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return None
    # Only these four strips are searched for pixels, not the whole mask.
    top, left = max(rows[-1] - extreme_range, 0), max(columns[-1] - extreme_range, 0)
    strips = [
        ((0, 0), mask[: rows[0] + extreme_range + 1]),
        ((top, 0), mask[top:]),
        ((0, 0), mask[:, : columns[0] + extreme_range + 1]),
        ((0, left), mask[:, left:]),
    ]
    return np.stack([_choose(np.argwhere(strip), rng) + offset for offset, strip in strips])


def points_in_outline(outline: Points, extreme_range: int, rng: np.random.RandomState) -> Points:
    """Like `points_in_mask`, for a mask known by its pixels: at least one row [y, x], int64 (M, 2)."""
    y, x = outline.T
    near = (
        y <= y.min() + extreme_range,
        y >= y.max() - extreme_range,
        x <= x.min() + extreme_range,
        x >= x.max() - extreme_range,
    )
    return np.stack([_choose(outline[candidates], rng) for candidates in near])


def _choose(points: Points, rng: np.random.RandomState) -> Points:
    # One candidate costs no draw: so it is in the original, and seeds keep their meaning.
    chosen: Points = points[rng.randint(0, len(points)) if len(points) > 1 else 0]
    return chosen
