"""The rings of holes, of all holes of a mask at once, so that a thousand small ones cost little.

OpenCV lists the border around a hole: pixels of the part. A ring has to run through pixels of the hole. The function
`hole_rings` finds them from the border alone, without another look at the mask. Nothing here loops over pixels or
rings: the points of all rings lie in one array, one ring after the other, and `lengths` says how many each has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from maskworks.types import Points

Indices = NDArray[np.int64]
Directions = NDArray[np.int8]
Scalar = TypeVar("Scalar", bound=np.generic)

# The eight neighbours as [x, y], in the order in which border following looks at them; those that share a side with the
# pixel are even:
#     3 2 1
#     4 . 0
#     5 6 7
_NEIGHBOURS = np.array([[1, 0], [1, -1], [0, -1], [-1, -1], [-1, 0], [-1, 1], [0, 1], [1, 1]], np.int32)
_DIRECTION = np.zeros((3, 3), np.int8)
_DIRECTION[_NEIGHBOURS[:, 1], _NEIGHBOURS[:, 0]] = np.arange(8)  # [y, x] to index; -1 is the last index

# Two tables with a row for each way to come to a pixel and to go on from it: row 8 * came + goes, both as indices of
# steps above. Border following stands at the pixel, looks back at the one it came from (came + 4), and turns from there
# until it finds the next pixel of the part. The neighbours that it passes belong to the hole. The seven columns are the
# neighbours after one to seven turns: whether one is taken into the ring (`_OF_THE_HOLE`), and where it is (`_STEP`).
#
# Came 0, goes 0, straight on to the right: 4 is behind, 5, 6 and 7 are passed, 0 is next. Only 6 shares a side with the
# pixel and is taken; 5 and 7 are taken by the pixels before and after it.
# Came 0, goes 6, around a corner of the hole: only 5 is passed. It shares no side, but no other pixel would take it.
_CAME, _GOES, _TURN = np.ogrid[:8, :8, 1:8]
_PASSED_BY = (_GOES - _CAME - 5) & 7
_LOOKED_AT = (_CAME + 4 + _TURN + 0 * _GOES) & 7
_OF_THE_HOLE = ((_TURN <= _PASSED_BY) & ((_LOOKED_AT & 1 == 0) | (_PASSED_BY == 1))).reshape(64, 7)
_STEP = _NEIGHBOURS[_LOOKED_AT].reshape(64 * 7, 2)


def hole_rings(borders: Sequence[Points]) -> list[Points]:
    """From the borders around holes, which run through pixels of the part, to rings of the holes' own pixels.

    Border following looks, at each pixel, from the one it came from around to the one it goes to, and what it passes is
    the hole (Suzuki and Abe 1985). Of that the pixels that share a side with the border are taken, in this order. Where
    the border turns around a corner of the hole there is none of them; there the one behind the corner is taken.

    Args:
        borders: for each hole (N, 2) int32 of [x, y], the corners of its border as `cv2.findContours` lists them.

    Returns:
        For each hole (M, 2) int32, M >= 1, the corners of its ring.
    """
    if not borders:
        return []
    points = np.concatenate(borders)
    lengths = np.array([len(border) for border in borders])
    goes = _directions(points, lengths)
    way = 8 * _previous(goes, lengths).astype(np.intp) + goes
    # For every point the columns of its row that are taken, as pixels. A point may give none, or several.
    # `take` and `compress` do what brackets do, several times faster for rows as short as these.
    corner, turn = np.divmod(np.flatnonzero(_OF_THE_HOLE.take(way, axis=0)), 7)
    pixels = points.take(corner, axis=0) + _STEP.take(7 * way.take(corner) + turn, axis=0)
    return _corners(pixels, _sums(np.bincount(corner, minlength=len(points)), lengths))


def _corners(points: Points, lengths: Indices) -> list[Points]:
    """Rings without repeated points and without those at which they run straight on; one point at least remains."""
    step = points - _previous(points, lengths)
    points, lengths = _kept(points, lengths, (step[:, 0] | step[:, 1]) != 0)
    onward = _directions(points, lengths)
    points, lengths = _kept(points, lengths, onward != _previous(onward, lengths))
    ends = np.cumsum(lengths).tolist()
    return [points[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def _kept(points: Points, lengths: Indices, keep: NDArray[np.bool_]) -> tuple[Points, Indices]:
    """The points to keep; of a ring without any its first one."""
    counts = _sums(keep, lengths)
    empty = counts == 0
    if empty.any():
        keep[(np.cumsum(lengths) - lengths)[empty]] = True
        counts[empty] = 1
    return points.compress(keep, axis=0), counts


def _directions(points: Points, lengths: Indices) -> Directions:
    """For each point where the next one of its ring lies, as an index of `_NEIGHBOURS`."""
    ends = np.cumsum(lengths)
    step = np.empty_like(points)
    np.subtract(points[1:], points[:-1], out=step[:-1])
    step[ends - 1] = points[ends - lengths] - points[ends - 1]
    np.sign(step, out=step)
    return np.asarray(_DIRECTION[step[:, 1], step[:, 0]])


def _previous(values: NDArray[Scalar], lengths: Indices) -> NDArray[Scalar]:
    """For each point the value of the one before it in its ring."""
    ends = np.cumsum(lengths)
    previous = np.empty_like(values)
    previous[1:] = values[:-1]
    previous[ends - lengths] = values[ends - 1]
    return previous


def _sums(values: NDArray[np.bool_] | Indices, lengths: Indices) -> Indices:
    """For each ring the sum of its points' values."""
    return np.asarray(np.add.reduceat(values, np.cumsum(lengths) - lengths, dtype=np.int64))
