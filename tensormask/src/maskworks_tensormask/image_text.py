"""Images as JSON text: `{"img_data": [[[blue, ...], ...], [[green, ...], ...], [[red, ...], ...]]}`.

A megapixel is 10 to 15 MB of text. The largest body has 320 MB (`--max_bytes`), and as Python objects it takes 2.5 GB.
So orjson reads one row at a time: a row of pixels becomes bytes and a word stands in its place in the text. A small
JSON text remains, for the usual reader. Measured on 336 MB (31 megapixels): 0.2 GB beside the text.
"""

from __future__ import annotations

import re
import secrets
from typing import Any

import cv2
import numpy as np
import orjson

from maskworks.config import InputConfig
from maskworks.errors import BadImage, BadJson, ImageTooLarge
from maskworks.types import Bytes
from maskworks.wire import jsontext

KEY = "img_data"

# A string, or an array without arrays, objects and strings in it. Strings are matched so that nothing in them is taken
# for an array. Possessive quantifiers (`*+`) and the optional last quote keep the search linear on any text.
_STRING_OR_ROW = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|\[[^][{}"]*+\]', re.DOTALL)
_EXPECTED = "expected three channels (blue, green, red) of equally long rows of whole numbers from 0 to 255"


def read_image(text: bytes | bytearray, config: InputConfig) -> Bytes:
    """The image in a request: (height, width, 3) uint8, RGB.

    Args:
        text: the JSON object; its `img_data` has the axes channel, row, column, and the channels blue, green, red. At
            most `jsontext.MOST_MARKS` columns, and as many rows in all three channels.
        config: with the limit on pixels, which is checked before anything is decoded.

    Raises:
        BadJson: the text is not a JSON object.
        BadImage: `img_data` is missing or not such an image. The error names the first value that is wrong, unless
            that is one of too many to look at.
        ImageTooLarge: it has too many pixels.
    """
    # A pixel takes 6 bytes at least. Between N numbers there are N - 1 commas, however they are nested.
    pixels = (text.count(b",") + 1) // 3 if len(text) > 6 * config.max_pixels else 0
    if pixels > config.max_pixels:
        raise ImageTooLarge(f"{KEY}: {pixels} pixels; expected at most {config.max_pixels} (--max_pixels)")
    blue, green, red = _planes(*_read_object(text))
    return np.asarray(cv2.merge((red, green, blue)))


def write_image(image: Bytes) -> bytes:
    """The request for an image, (height, width, 3) uint8 RGB; the inverse of `read_image`."""
    planes = np.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1))
    return jsontext.write({KEY: planes})


def _read_object(text: bytes | bytearray) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The JSON object with words in the place of rows of pixels, and the row of each word."""
    rows: dict[str, bytes] = {}
    token = secrets.token_hex(8)  # no sender knows it, so none can write such a word

    def pack(match: re.Match[bytes]) -> bytes:
        found = match[0]
        row = b"" if found.startswith(b'"') else _packed(found)
        if not row:
            return found
        word = f"{token}{len(rows)}"
        rows[word] = row
        return b'"%s"' % word.encode()

    if sum(text.count(opening) for opening in (b"[", b'"')) > jsontext.MOST_MARKS:  # each is a step of Python
        raise _too_long()
    rest = _STRING_OR_ROW.sub(pack, text)
    if jsontext.has_more_marks(rest, jsontext.MOST_MARKS):
        raise _too_long()
    try:
        return jsontext.read_object(rest, "body"), rows
    except BadJson:
        if jsontext.has_more_marks(text, jsontext.MOST_MARKS):
            raise _too_long() from None
        return jsontext.read_object(text, "body"), {}  # in another encoding; or the error names the place in the text


def _packed(row: bytes) -> bytes:
    """One byte for each number of a row; empty if it is not a row of pixels."""
    if b"t" in row or b"f" in row or jsontext.has_more_marks(row, jsontext.MOST_MARKS):  # `true` would become 1
        return b""
    try:
        return bytes(orjson.loads(row))
    except (TypeError, ValueError):
        return b""


def _planes(request: dict[str, Any], rows: dict[str, bytes]) -> Bytes:
    """(3, height, width) uint8 in the order of the request, of which every value is checked."""

    def unpacked(value: Any) -> Any:
        """A value as it was sent, for words that stand where no row may stand."""
        return list(rows[value]) if isinstance(value, str) and value in rows else value

    def row_of(value: Any, where: str) -> bytes:
        if isinstance(value, str) and value in rows:
            return rows[value]
        if not isinstance(value, list) or not value:
            raise BadImage(f"{where}: {_shown(value)}; {_EXPECTED}")
        for column, number in enumerate(value):
            if type(number) is not int or not 0 <= number <= 255:
                raise BadImage(f"{where}[{column}]: {_shown(unpacked(number))}; {_EXPECTED}")
        return bytes(value)

    planes = unpacked(request.get(KEY))
    if not isinstance(planes, list) or len(planes) != 3:
        found = (
            f"{len(planes)} channels" if isinstance(planes, list) else "missing" if planes is None else _shown(planes)
        )
        raise BadImage(f"{KEY}: {found}; {_EXPECTED}")
    values: list[bytes] = []
    height = len(unpacked(planes[0])) if isinstance(unpacked(planes[0]), list) else 0
    for channel, plane in enumerate(map(unpacked, planes)):
        if not isinstance(plane, list) or not plane or len(plane) != height:
            raise BadImage(f"{KEY}[{channel}]: {_rows(plane)}; {_EXPECTED}")
        for index, value in enumerate(plane):
            where = f"{KEY}[{channel}][{index}]"
            values.append(row_of(value, where))
            if len(values[-1]) != len(values[0]):
                raise BadImage(f"{where}: {len(values[-1])} numbers, the first row has {len(values[0])}; {_EXPECTED}")
    return np.frombuffer(b"".join(values), np.uint8).reshape(3, height, -1)


def _too_long() -> BadImage:
    return BadImage(f"{KEY}: not such an image, and too long to say where; {_EXPECTED}, in UTF-8")


def _rows(plane: Any) -> str:
    return f"{len(plane)} rows" if isinstance(plane, list) else _shown(plane)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
