"""Values of config files: finding them, checking their types."""

from __future__ import annotations

import reprlib
from typing import Any

MISSING = object()
_DEEPEST_LIST = 3


def lookup(values: Any, key: str, default: Any) -> Any:
    """The value of a key with dots, or the default."""
    for name in key.split("."):
        if not isinstance(values, dict) or name not in values:
            return default
        values = values[name]
    return values


def as_tuples(value: Any, depth: int = _DEEPEST_LIST) -> Any:
    """With tuples for lists, to some depth: a file can have lists that contain themselves."""
    nested = isinstance(value, (list, tuple)) and depth > 0
    return tuple(as_tuples(item, depth - 1) for item in value) if nested else value


def as_lists(value: Any) -> Any:
    """With lists for tuples."""
    return [as_lists(item) for item in value] if isinstance(value, tuple) else value


def typed(value: Any, default: Any, of: type) -> tuple[Any, str]:
    """A value in its field's type, and its problem, or "".

    Args:
        value: as found.
        default: of the field; its type is wanted.
        of: the type of a list's values (tuple: of lists of numbers), or of a value that may be None.
    """
    value = as_tuples(value)
    if isinstance(default, tuple):
        good, expected = _is_list(value, of), f"a list of {'lists of numbers' if of is tuple else of.__name__}"
    else:
        good, expected = (value is None and default is None) or _is(value, of), of.__name__
    return value, "" if good else f"{shown(value)}; expected {expected}"


def bounds_problem(value: Any, low: int, high: int) -> str:
    """The problem of a number, or of those in lists of lists, or "": each has to be from low to high."""
    if isinstance(value, tuple):
        return next(filter(None, (bounds_problem(item, low, high) for item in value)), "")
    if low <= value <= high:
        return ""
    return f"{shown(value)}; expected at {f'most {high}' if value > high else f'least {low}'}"


def shown(value: object) -> str:
    """A value for a message, shortened."""
    try:
        return reprlib.repr(value)
    except ValueError:  # Python does not write whole numbers of thousands of digits
        return "a number of thousands of digits"


def _is_list(value: Any, of: type) -> bool:
    if not isinstance(value, tuple):
        return False
    return all(_is_list(item, float) for item in value) if of is tuple else all(_is(item, of) for item in value)


def _is(value: Any, kind: type) -> bool:
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    return isinstance(value, (int, float) if kind is float else kind)
