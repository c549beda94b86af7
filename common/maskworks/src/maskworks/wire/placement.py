"""Whether prompts lie in their image: what is outside of it cannot be answered, or is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskworks.errors import BadPrompt
from maskworks.types import Floats, Prompt

# Programs count the right and lower border as width and height, or as a pixel less.
_MARGIN = 1.0
_MOST_TOLD = 100
_FRACTIONS = "all coordinates are between 0 and 1: are they fractions of the image? Prompts are in pixels"


def remarks_on(prompts: Sequence[Prompt], size: tuple[int, int]) -> dict[str, Any]:
    """What `meta` says about the places of prompts; usually nothing.

    `outside` lists the paths of points and boxes that are outside of the image, boxes also where a part of them is.
    `hint` says that the coordinates may be fractions.

    Args:
        prompts: of one image.
        size: its height and width in pixels.

    Raises:
        BadPrompt: all that says where an object is, is outside of the image.
    """
    outside: list[str] = []
    for prompt in prompts:
        found = list(_outside(prompt, size))
        if found and all(whole for _, whole in found) and len(found) == _count(prompt):
            raise _nowhere(prompt, size)
        outside += [path for path, _ in found][: _MOST_TOLD - len(outside)]
    remarks: dict[str, Any] = {"outside": outside} if outside else {}
    return {**remarks, "hint": _FRACTIONS} if _are_fractions(prompts, size) else remarks


def _outside(prompt: Prompt, size: tuple[int, int]) -> Iterator[tuple[str, bool]]:
    """The path of each point and box that is outside, and whether it is that as a whole."""
    here = f"{prompt.path}." if prompt.path else ""
    points = _points(prompt)
    if points is not None:
        for index in np.flatnonzero(_are_outside(points, size)).tolist():
            yield f"{here}points[{index}]", True
    if prompt.box is not None:
        corners = prompt.box.reshape(2, 2)
        if _are_outside(corners, size).any():
            low, high = corners
            yield f"{here}box", bool((high < -_MARGIN).any() or (low > _last(size)).any())


def _points(prompt: Prompt) -> Floats | None:
    return prompt.clicks if prompt.extreme_points is None else prompt.extreme_points


def _count(prompt: Prompt) -> int:
    points = _points(prompt)
    return (0 if points is None else len(points)) + (prompt.box is not None)


def _are_outside(points: Floats, size: tuple[int, int]) -> NDArray[np.bool_]:
    beyond = (points < -_MARGIN) | (points > _last(size))
    return np.asarray(beyond.any(axis=1))


def _last(size: tuple[int, int]) -> Floats:
    """The largest x and y that count as inside."""
    return np.array(size[::-1], np.float64) - 1 + _MARGIN


def _are_fractions(prompts: Sequence[Prompt], size: tuple[int, int]) -> bool:
    places = [place for prompt in prompts for place in (_points(prompt), prompt.box) if place is not None]
    return bool(places) and max(size) > 2 and all((place >= 0).all() and (place <= 1).all() for place in places)


def _nowhere(prompt: Prompt, size: tuple[int, int]) -> BadPrompt:
    points = _points(prompt)
    key, corners = ("points", points) if points is not None else ("box", prompt.box)
    assert corners is not None
    swapped = corners.reshape(-1, 2)[:, ::-1]
    height, width = size
    hint = "" if _are_outside(swapped, size).any() else "; did you exchange x and y?"
    return BadPrompt(
        f"{prompt.path}.{key}" if prompt.path else key,
        f"outside of the image, which has {width}x{height} pixels",
        f"x from 0 to {width - 1} and y from 0 to {height - 1}{hint}",
    )
