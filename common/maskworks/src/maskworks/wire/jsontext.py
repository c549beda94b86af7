"""JSON text: reading what others wrote, writing ours."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import orjson

from maskworks.errors import BadJson

# A hundred thousand clicks, or 255 objects of 490 clicks each. At worst such a text takes about 100 MB as objects.
MOST_MARKS = 500_000


def read_object(text: bytes | bytearray, what: str, most_marks: int | None = None) -> dict[str, Any]:
    """The JSON object in a text.

    `NaN` and infinities are let through, so that the check of the value can say where they stand.

    Args:
        text: UTF-8 (a byte order mark is fine), UTF-16 or UTF-32.
        what: what the text is, for the error message.
        most_marks: the limit on what anyone may send, `MOST_MARKS`: a text of 100 MB can hold 30 million values, which
            take gigabytes and half a minute. None for texts from those whom we trust.

    Raises:
        BadJson: it is not JSON, has too many values, is nested too deeply, or is not an object.
    """
    if most_marks is not None and has_more_marks(text, most_marks):
        raise BadJson(f"{what}: too many values; expected at most {most_marks} brackets and commas")
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = _read_leniently(text, what)
    if _is_deep(value):
        raise BadJson(f"{what}: {_TOO_DEEP}")
    if not isinstance(value, dict):
        raise BadJson(f"{what}: JSON of type {_TYPES[type(value)]}; expected an object in curly braces")
    return value


def read_value(text: bytes | str) -> Any:
    """What a text says in JSON; one that is none, or is long, is its own value."""
    data = text.encode(errors="replace") if isinstance(text, str) else text
    try:
        return orjson.loads(data) if len(data) <= _LONGEST_VALUE else data.decode(errors="replace")
    except orjson.JSONDecodeError:
        return data.decode(errors="replace")


def has_more_marks(text: bytes | bytearray, most: int) -> bool:
    """Whether a text has more than `most` of the characters `[`, `{` and `,`: one for each value, without parsing it.

    Those in strings count as well; base64 has none of them.
    """
    if len(text) <= most:
        return False
    characters, found = np.frombuffer(text, np.uint8), 0
    for start in range(0, characters.size, _CHUNK):
        chunk = characters[start : start + _CHUNK]
        is_bracket = (chunk | 0x20) == ord("{")  # of both kinds: `[` is 0x5B, `{` is 0x7B
        found += int(np.count_nonzero(is_bracket | (chunk == ord(","))))
        if found > most:
            return True
    return False


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
_LONGEST_VALUE = 10_000  # bytes
_CHUNK = 1 << 18  # bytes at a time; what is made of them stays in the processor's cache
# JSON's own names, because those who read the message need not know Python's.
_TYPES = {list: "array", str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}


def _is_deep(value: Any) -> bool:
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(_DEEPEST):
        if not level:
            return False
        lists = (item.values() if isinstance(item, dict) else item for item in level)
        level = [item for items in lists for item in items if isinstance(item, (dict, list))]
    return bool(level)


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
