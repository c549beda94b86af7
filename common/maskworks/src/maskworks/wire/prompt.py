"""Prompts: JSON values to `Prompt`, with every value checked and every error naming its place."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskworks.errors import BadPrompt, UnsupportedPrompt
from maskworks.types import Floats, Prompt
from maskworks.wire import base64text
from maskworks.wire.prompt_aliases import MASK_CHOICES
from maskworks.wire.prompt_keys import CORNERS, RESERVED, WHERE

# Beyond this, float32 cannot tell neighbouring pixels apart.
LARGEST_COORDINATE = float(2**24)
MOST_OBJECTS = 255
MOST_POINTS = 10_000
MOST_CLICKS = 1000  # Segment Anything compares each with each
LONGEST_NAME = 200  # characters
_FORMS = '"points", "box" or "objects"'
_CORNERS = 'an object with "x0", "y0", "x1" and "y1"'
_CLICK_LABEL = "0 for background or 1 for foreground, as clicks have it; extreme points are pairs [x, y]"
_EXTREME_POINTS = "the 4 extreme points of the object or more"


def parse_prompt(value: dict[str, Any]) -> tuple[Prompt, ...]:
    """The prompts of all objects in a request; see docs/formats.md for the forms.

    Keys that are none of ours are for `prompt_keys.check_keys`.

    Raises:
        BadPrompt: a value is missing or wrong; the error names its path.
        UnsupportedPrompt: it asks in words.
    """
    if "objects" not in value:
        return (_parse_object(value, "", 1, None),)
    _check_no_text(value, "")
    choice = _mask_choice(value, "")
    for other in (*WHERE, "low_res_logits", "label"):
        if other in value:
            raise BadPrompt(other, 'stands beside "objects"', "it inside of each object")
    objects = _list(value["objects"], "objects", MOST_OBJECTS, "prompts")
    prompts = []
    for index, entry in enumerate(objects):
        path = f"objects[{index}]"
        if not isinstance(entry, dict):
            raise BadPrompt(path, _shown(entry), 'an object with "points" or "box"')
        if "objects" in entry:
            raise BadPrompt(f"{path}.objects", "a list inside of a list", '"points" or "box"')
        prompts.append(_parse_object(entry, path, index + 1, choice))
    return tuple(prompts)


def _parse_object(value: dict[str, Any], path: str, label: int, choice: str | None) -> Prompt:
    here = f"{path}." if path else ""
    _check_no_text(value, here)
    if not any(key in value for key in WHERE):
        raise BadPrompt(path or "points", "missing", _FORMS if not path else '"points" or "box"')
    extreme_points = clicks = click_labels = box = mask_input = None
    if "points" in value:
        points = value["points"]
        if isinstance(points, list) and points and isinstance(points[0], dict):
            points = _list(points, f"{here}points", MOST_CLICKS, "clicks")
            clicks, click_labels = _clicks(points, f"{here}points")
        else:
            extreme_points = _extreme_points(points, f"{here}points")
    if "box" in value:
        if extreme_points is not None:
            raise BadPrompt(f"{here}box", "stands beside extreme points", "one of the two")
        box = _box(value["box"], f"{here}box")
    if "mask_input" in value:
        mask_input = _mask_input(value["mask_input"], f"{here}mask_input")
    wants_logits = value.get("low_res_logits", False)
    if not isinstance(wants_logits, bool):
        raise BadPrompt(f"{here}low_res_logits", _shown(wants_logits), "true or false")
    number = _label(value.get("label", label), f"{here}label")
    return Prompt(
        path, extreme_points, clicks, click_labels, box, number, mask_input, wants_logits, _name(value, here),
        _mask_choice(value, here) or choice,
    )  # fmt: skip


def _extreme_points(value: Any, path: str) -> Floats:
    if value == []:
        raise BadPrompt(path, "an empty list", f"{_EXTREME_POINTS}, or 1 to {MOST_CLICKS} clicks")
    points = _list(value, path, MOST_POINTS, "points")
    for index, point in enumerate(points):
        if not isinstance(point, list) or len(point) != 2:
            raise BadPrompt(f"{path}[{index}]", _shown(point), "a pair [x, y]")
    if len(points) < 4:
        number = "1 point" if len(points) == 1 else f"{len(points)} points"
        raise BadPrompt(path, number, f"{_EXTREME_POINTS}; a click is {_as_click(points[0])}")
    return np.array([[_number(v, f"{path}[{i}][{j}]") for j, v in enumerate(p)] for i, p in enumerate(points)])


def _clicks(points: Sequence[Any], path: str) -> tuple[Floats, Any]:
    xy, labels = [], []
    for index, point in enumerate(points):
        here = f"{path}[{index}]"
        if not isinstance(point, dict):
            raise BadPrompt(here, _shown(point), 'an object with "x", "y" and "label"')
        xy.append([_number(_member(point, key, here, "a number"), f"{here}.{key}") for key in ("x", "y")])
        label = _member(point, "label", here, _CLICK_LABEL)
        if isinstance(label, bool) or label not in (0, 1):
            raise BadPrompt(f"{here}.label", _shown(label), "0 for background or 1 for foreground")
        labels.append(int(label))
    return np.array(xy), np.array(labels, np.uint8)


def _box(value: Any, path: str) -> Floats:
    if not isinstance(value, dict):
        raise BadPrompt(path, _shown(value), _CORNERS)
    if value and not value.keys() & set(CORNERS):
        names = ", ".join(json.dumps(key[:20]) for key in list(value)[:4])
        raise BadPrompt(path, f"an object with {names}", _CORNERS)
    xa, ya, xb, yb = (_number(_member(value, key, path, "a number"), f"{path}.{key}") for key in CORNERS)
    return np.array([min(xa, xb), min(ya, yb), max(xa, xb), max(ya, yb)])


def _mask_input(value: Any, path: str) -> NDArray[np.float32]:
    """Logits as `meta.objects` of an earlier answer has them: base64 of float32, little-endian, row by row."""
    expected = "the base64 text that an earlier answer had as low_res_logits"
    if not isinstance(value, str):
        raise BadPrompt(path, _shown(value), expected)
    try:
        data = base64text.decode(value)
    except ValueError as error:
        raise BadPrompt(path, f"not base64: {error}", expected) from None
    side = math.isqrt(len(data) // 4)
    if not data or side * side * 4 != len(data):
        raise BadPrompt(path, f"{len(data)} bytes, not those of a square of float32", expected)
    logits = np.frombuffer(data, "<f4").reshape(side, side)
    if not np.isfinite(logits).all():
        raise BadPrompt(path, "values that are not finite", expected)
    return logits


def _as_click(point: Sequence[Any]) -> str:
    """The click that may have been meant by a pair."""
    numbers = (value if isinstance(value, (int, float)) and abs(value) < 1e6 else 1 for value in point)
    return '{{"x": {:.6g}, "y": {:.6g}, "label": 1}}'.format(*numbers)


def _label(value: Any, path: str) -> int:
    is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not is_whole or not 1 <= value <= 255:
        raise BadPrompt(path, _shown(value), "a whole number from 1 to 255")
    return int(value)


def _name(value: dict[str, Any], here: str) -> str | None:
    name = value.get("name")
    if name is None or (isinstance(name, str) and 1 <= len(name) <= LONGEST_NAME and name.isprintable()):
        return name
    raise BadPrompt(f"{here}name", _shown(name), f"1 to {LONGEST_NAME} printable characters")


def _mask_choice(value: dict[str, Any], here: str) -> str | None:
    choice = value.get("mask_choice")
    if choice is None or choice in MASK_CHOICES:
        return choice
    raise BadPrompt(f"{here}mask_choice", _shown(choice), f"one of {', '.join(MASK_CHOICES)}")


def _check_no_text(value: dict[str, Any], here: str) -> None:
    if value.get(RESERVED) is not None:
        raise UnsupportedPrompt(f"{here}{RESERVED}", "words, which no model here can use", _FORMS)


def _number(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadPrompt(path, _shown(value), "a number")
    if not abs(value) <= LARGEST_COORDINATE:  # NaN is not smaller than anything
        finite = isinstance(value, int) or math.isfinite(value)  # math.isfinite fails on whole numbers beyond float
        limit = f"{LARGEST_COORDINATE:.0f}"
        raise BadPrompt(path, _shown(value), f"a number between -{limit} and {limit}" if finite else "a finite number")
    return float(value)


def _list(value: Any, path: str, most: int, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise BadPrompt(path, _shown(value), f"a list of {what}")
    if not 1 <= len(value) <= most:
        raise BadPrompt(path, "an empty list" if not value else f"{len(value)} {what}", f"1 to {most} {what}")
    return value


def _member(value: dict[str, Any], key: str, path: str, expected: str) -> Any:
    if key not in value:
        raise BadPrompt(f"{path}.{key}", "missing", expected)
    return value[key]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
