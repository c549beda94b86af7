"""Hypothesis strategies for what travels: masks, prompts, instances, names."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskworks.types import Instance

Coordinates: TypeAlias = st.SearchStrategy[int | float]
COORDINATES = st.one_of(st.integers(-(2**24), 2**24), st.floats(-(2.0**24), 2.0**24))
LABELS = st.integers(1, 255)
NAMES = st.text(min_size=1, max_size=40)


def masks(most: int = 14) -> st.SearchStrategy[np.ndarray]:
    """(h, w) uint8 of 0 and 1, of any shape up to `most` a side."""
    return arrays(np.uint8, st.tuples(st.integers(1, most), st.integers(1, most)), elements=st.integers(0, 1))


def instances() -> st.SearchStrategy[Instance]:
    """Masks anywhere, some of them partly or wholly outside of an image of 20x20 pixels."""
    return st.builds(
        Instance, masks(), st.tuples(st.integers(-5, 25), st.integers(-5, 25)), label=LABELS, name=NAMES,
        score=st.none() | st.floats(0, 1),
    )  # fmt: skip


def _extreme_points(coordinates: Coordinates) -> st.SearchStrategy[dict[str, Any]]:
    point = st.lists(coordinates, min_size=2, max_size=2)
    return st.fixed_dictionaries({"points": st.lists(point, min_size=4, max_size=9)})


def _clicks(coordinates: Coordinates) -> st.SearchStrategy[dict[str, Any]]:
    click = st.fixed_dictionaries({"x": coordinates, "y": coordinates, "label": st.integers(0, 1)})
    return st.fixed_dictionaries({"points": st.lists(click, min_size=1, max_size=9)})


def _boxes(coordinates: Coordinates) -> st.SearchStrategy[dict[str, Any]]:
    corners = st.fixed_dictionaries(dict.fromkeys(("x0", "y0", "x1", "y1"), coordinates))
    return st.fixed_dictionaries({"box": corners})


def single_prompts(coordinates: Coordinates = COORDINATES) -> st.SearchStrategy[dict[str, Any]]:
    """A valid prompt for one object, in any form, with or without a label."""
    clicks, boxes = _clicks(coordinates), _boxes(coordinates)
    both = st.builds(lambda clicks, box: {**clicks, **box}, clicks, boxes)
    form = st.one_of(_extreme_points(coordinates), clicks, boxes, both)
    return st.builds(
        lambda prompt, label: {**prompt, **label}, form, st.just({}) | st.fixed_dictionaries({"label": LABELS})
    )


def prompts(coordinates: Coordinates = COORDINATES) -> st.SearchStrategy[dict[str, Any]]:
    """A valid prompt, for one object or for several."""
    single = single_prompts(coordinates)
    several = st.fixed_dictionaries({"objects": st.lists(single, min_size=1, max_size=5)})
    return st.one_of(single, several)


def json_values() -> st.SearchStrategy[Any]:
    """Anything that JSON can say, and the numbers that it cannot."""
    scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10))
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
        max_leaves=12,
    )
