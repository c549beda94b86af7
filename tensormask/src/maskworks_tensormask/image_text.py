"""Images as JSON text: `{"img_data": [[[blue, ...], ...], [[green, ...], ...], [[red, ...], ...]]}`.

A megapixel is 10 to 15 MB of text. Read as Python objects it takes half a second and more; here the digits become
numbers where they stand, in numpy. That way knows only plain text of the right shape. Whatever else comes goes through
a JSON reader, which is slower but can say what is wrong, and where; up to a limit, because as objects a text may take
fifty times its own memory.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from itertools import islice
from typing import Any

import cv2
import numpy as np
import orjson
from numpy.typing import NDArray

from maskworks.config import InputConfig
from maskworks.errors import BadImage, BadJson, ImageTooLarge
from maskworks.types import Bytes
from maskworks.wire import jsontext

KEY = "img_data"

_NAME = re.compile(rb'"img_data"[ \t\r\n]*:[ \t\r\n]*')
_MOST_NAMES = 4  # that are looked at; members of members may have this name, too
_CHUNK = 1 << 18  # bytes at a time; what is made of them stays in the processor's cache
_SPACE = (ord(" ") - ord("0")) % 256
_EXPECTED = "expected three channels (blue, green, red) of equally long rows of whole numbers from 0 to 255"


def read_image(text: bytes | bytearray, config: InputConfig) -> Bytes:
    """The image in a request: (height, width, 3) uint8, RGB.

    Args:
        text: the JSON object; its `img_data` has the axes channel, row, column, and the channels blue, green, red.
        config: with the limit on pixels, which is checked before anything is decoded.

    Raises:
        BadJson: the text is not a JSON object.
        BadImage: `img_data` is missing or not such an image; unless the text is beyond `jsontext.MOST_MARKS`, the error
            names the first value that is wrong.
        ImageTooLarge: it has too many pixels.
    """
    # A pixel takes 6 bytes at least. Between N numbers there are N - 1 commas, however they are nested.
    pixels = (text.count(b",") + 1) // 3 if len(text) > 6 * config.max_pixels else 0
    if pixels > config.max_pixels:
        raise ImageTooLarge(f"{KEY}: {pixels} pixels; expected at most {config.max_pixels} (--max_pixels)")
    planes = _from_digits(text)
    if planes is None:
        if jsontext.has_more_marks(text, jsontext.MOST_MARKS):
            raise BadImage(f"{KEY}: not such an image, and too long to say where; {_EXPECTED}, in UTF-8")
        planes = _from_lists(_read_object(text), text)
    blue, green, red = planes
    return np.asarray(cv2.merge((red, green, blue)))


def write_image(image: Bytes) -> bytes:
    """The request for an image, (height, width, 3) uint8 RGB: what `read_image` reads."""
    planes = np.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1))
    return jsontext.write({KEY: planes})


def _from_digits(text: bytes | bytearray) -> Bytes | None:
    """(3, height, width) uint8 in the order of the text; None if it is not plainly such an array."""
    names = islice(_NAME.finditer(text), _MOST_NAMES)
    found = (_find_array(text, name.end()) for name in names)
    place = next((place for place in found if place is not None and _is_image(text, *place)), None)
    if place is None:
        return None
    array = np.frombuffer(text, np.uint8)[slice(*place)]
    numbers, marks = _split(array)
    if numbers is None and (dense := _without_blanks(array)) is not None:
        numbers, marks = _split(dense)
    if numbers is None:
        return None
    width = marks.find(b"]") - 2
    height = numbers.size // (3 * width) if width > 0 else 0
    if height == 0 or marks != _marks(height, width):
        return None
    return numbers.reshape(3, height, width)


def _find_array(text: bytes | bytearray, start: int) -> tuple[int, int] | None:
    """Start and end of what may be the array: neither a quote nor a brace stands in it, and it ends in a bracket."""
    stops = [place for mark in (b'"', b"}") if (place := text.find(mark, start)) >= 0]
    end = text.rfind(b"]", start, min(stops, default=0)) + 1
    return (start, end) if end else None


def _is_image(text: bytes | bytearray, start: int, end: int) -> bool:
    """Whether the text is JSON around this part of it, and the part is what it has as the image.

    A text that no sender can know takes the part's place; a JSON reader sees whether it becomes the value.
    """
    token = secrets.token_hex()
    rest = b"".join((text[:start], jsontext.write(token), text[end:]))
    if jsontext.has_more_marks(rest, jsontext.MOST_MARKS):
        return False
    try:
        return bool(_read_object(rest).get(KEY) == token)
    except BadJson:
        return False


def _without_blanks(text: Bytes) -> Bytes | None:
    """The text without spaces, tabs and line breaks; None if some stand between digits, or are very many in a row."""
    parts, start = [], 0
    while start < text.size - 1:
        chunk = text[start : start + _CHUNK]
        is_blank = (chunk == ord(" ")) | (chunk == ord("\n")) | (chunk == ord("\r")) | (chunk == ord("\t"))
        places = np.flatnonzero(~is_blank)
        kept = chunk.take(places)
        is_digit = kept - np.uint8(ord("0")) <= 9
        if places.size < 2 or (is_digit[:-1] & is_digit[1:] & (np.diff(places) > 1)).any():
            return None
        parts.append(kept[:-1])
        start += int(places[-1])  # the last character of a chunk is the first of the next one
    return np.concatenate([*parts, text[start:]])


def _marks(height: int, width: int) -> bytes:
    """Brackets and commas of an array of shape (3, height, width), without its numbers."""
    row = b"[" + b"," * (width - 1) + b"]"
    plane = b"[" + b",".join([row] * height) + b"]"
    return b"[" + b",".join([plane] * 3) + b"]"


def _split(text: Bytes) -> tuple[Bytes | None, bytes]:
    """The numbers of a text, and its marks (whatever is neither digit nor space), both in their order.

    No numbers are returned if one is over 255, starts with a needless 0, or stands where none may stand, or if there is
    a space that does not follow a mark.
    """
    numbers, marks, start = [], [], 0
    while start < text.size - 1:
        chunk = text[start : start + _CHUNK]
        is_space = chunk == ord(" ")
        digits = chunk - np.uint8(ord("0"))
        places = np.flatnonzero((digits > 9) & ~is_space)
        if places.size < 2 or places[0] != 0:
            return None, b""
        last = int(places[-1])  # the last mark of a chunk is the first of the next one
        found = _numbers(digits, chunk.take(places), places, int(np.count_nonzero(is_space[:last])))
        if found is None:
            return None, b""
        numbers.append(found)
        marks.append(chunk.take(places[:-1]).tobytes())
        start += last
    marks.append(text[start:].tobytes())
    return (np.concatenate(numbers), b"".join(marks)) if numbers else (None, b"")


def _numbers(digits: Bytes, marks: Bytes, places: NDArray[np.intp], spaces: int) -> Bytes | None:
    """The numbers between the marks at these places; None if they are wrong.

    What stands between two marks may be a number if the first one is not `]` and the second one not `[`. There it has
    to be one, with a space before it or not, and anywhere else there may be a space and nothing more.
    """
    end = places[1:]
    is_led = digits.take(places[:-1] + 1) == _SPACE
    length = end - places[:-1] - 1 - is_led
    is_number = (marks[:-1] != ord("]")) & (marks[1:] != ord("["))
    if np.count_nonzero(is_led) != spaces or length.max() > 3 or not np.array_equal(length > 0, is_number):
        return None
    two, three = length > 1, length > 2
    ones, tens, hundreds = (digits.take(end - place, mode="clip") for place in (1, 2, 3))
    starts_with_zero = (tens == 0) & two & ~three | (hundreds == 0) & three
    low, hundreds = ones + 10 * (tens * two), hundreds * three
    if starts_with_zero.any() or ((hundreds > 2) | (hundreds == 2) & (low > 55)).any():
        return None
    numbers: Bytes = (low + 100 * hundreds)[is_number]
    return numbers


def _read_object(text: bytes | bytearray) -> dict[str, Any]:
    with contextlib.suppress(orjson.JSONDecodeError):
        value = orjson.loads(text)
        if isinstance(value, dict):
            return value
    return jsontext.read_object(text, "body")  # which knows other encodings, and says what is wrong


def _from_lists(request: dict[str, Any], text: bytes | bytearray) -> Bytes:
    """(3, height, width) uint8 from lists, of which every value is checked."""
    planes = request.get(KEY)
    if not isinstance(planes, list) or len(planes) != 3:
        found = (
            f"{len(planes)} channels" if isinstance(planes, list) else "missing" if planes is None else _shown(planes)
        )
        raise BadImage(f"{KEY}: {found}; {_EXPECTED}")
    rows: list[bytes] = []
    has_booleans = b"true" in text or b"false" in text
    for channel, plane in enumerate(planes):
        if not isinstance(plane, list) or not plane or len(plane) != len(planes[0]):
            raise BadImage(f"{KEY}[{channel}]: {_rows(plane)}; {_EXPECTED}")
        for index, row in enumerate(plane):
            where = f"{KEY}[{channel}][{index}]"
            if not isinstance(row, list) or not row:
                raise BadImage(f"{where}: {_shown(row)}; {_EXPECTED}")
            rows.append(_row(row, where, has_booleans))
            if len(row) != len(rows[0]):
                raise BadImage(f"{where}: {len(row)} numbers, the first row has {len(rows[0])}; {_EXPECTED}")
    return np.frombuffer(b"".join(rows), np.uint8).reshape(3, len(planes[0]), len(rows[0]))


def _row(row: list[Any], where: str, has_booleans: bool) -> bytes:
    try:
        if not has_booleans or all(type(value) is int for value in row):
            return bytes(row)
    except (TypeError, ValueError):
        pass
    column, value = next((x, v) for x, v in enumerate(row) if type(v) is not int or not 0 <= v <= 255)
    raise BadImage(f"{where}[{column}]: {_shown(value)}; {_EXPECTED}")


def _rows(plane: Any) -> str:
    return f"{len(plane)} rows" if isinstance(plane, list) else _shown(plane)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
