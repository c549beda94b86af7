"""JSON text: reading what others wrote, writing ours."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import orjson

from segkit.errors import BadJson


def read_object(text: bytes | bytearray, what: str) -> dict[str, Any]:
    """The JSON object in a text.

    `NaN` and infinities are let through, so that the check of the value can say where they stand.

    Args:
        text: UTF-8 (a byte order mark is fine), UTF-16 or UTF-32.
        what: what the text is, for the error message.

    Raises:
        BadJson: it is not JSON, is nested too deeply, or is not an object.
    """
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = _read_leniently(text, what)
    if _brackets(text) > _DEEPEST and _is_deep(value):
        raise BadJson(f"{what}: {_TOO_DEEP}")
    if not isinstance(value, dict):
        raise BadJson(f"{what}: JSON of type {_TYPES[type(value)]}; expected an object in curly braces")
    return value


def write(value: Any) -> bytes:
    """Compact UTF-8 JSON.

    Arrays of numpy become lists, NaN and infinities null; text that is not valid Unicode is written with escapes.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    except orjson.JSONEncodeError:
        # Once more through the reader, because NaN and infinities, which json writes as such, are not JSON.
        plain = json.loads(json.dumps(value, default=_as_list), parse_constant=lambda _: None)
        return json.dumps(plain, separators=(",", ":")).encode("ascii")


# What is read is written into the reply, by writers that go no deeper than 254.
_DEEPEST = 200
_TOO_DEEP = f"nested too deeply; expected a JSON object of at most {_DEEPEST} levels"
_TYPES = {list: "array", str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}


def _brackets(text: bytes | bytearray) -> int:
    characters = np.frombuffer(text, np.uint8)
    return int(np.count_nonzero(characters == ord("[")) + np.count_nonzero(characters == ord("{")))


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        lists = (list(item.values()) if isinstance(item, dict) else item for item in level)
        level = [item for items in lists if isinstance(items, list) for item in items]
    return any(isinstance(item, (dict, list)) for item in level)


def _as_list(array: Any) -> Any:
    return array.tolist()


def _read_leniently(text: bytes | bytearray, what: str) -> Any:
    if not text.strip():
        raise BadJson(f"{what}: empty; expected a JSON object")
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise BadJson(
            f"{what}: not JSON: {error.msg} at line {error.lineno}, column {error.colno}; expected a JSON object"
        ) from None
    except UnicodeDecodeError as error:
        raise BadJson(f"{what}: not text: byte {error.start} is not {error.encoding}; expected a JSON object") from None
    except RecursionError:
        raise BadJson(f"{what}: {_TOO_DEEP}") from None
    except ValueError as error:  # whole numbers of thousands of digits
        raise BadJson(f"{what}: {error}; expected a JSON object") from None
