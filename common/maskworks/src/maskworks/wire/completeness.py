"""Whether a file that somebody writes is complete, by the end that its format prescribes."""

from __future__ import annotations

import json
import os
from pathlib import Path

from PIL import Image

from maskworks.config import InputConfig
from maskworks.wire import jsontext


def ends_where_it_should(path: Path, limits: InputConfig, *, is_prompt: bool) -> bool:
    """Whether a file is surely complete: a prompt that is JSON, an image with the end that its format prescribes.

    Of what is beyond the limits nobody can be sure, as it is not read.

    Raises:
        OSError: it cannot be read.
    """
    if is_prompt:
        return path.stat().st_size <= limits.max_bytes and _is_json(path.read_bytes())
    with path.open("rb") as file:
        head = file.read(12)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 12))
        tail = file.read(12)
    if head.startswith(b"\xff\xd8"):
        return tail.endswith(b"\xff\xd9")
    if head.startswith(b"\x89PNG"):
        return tail[4:8] == b"IEND"
    if head.startswith(b"BM"):
        return size >= int.from_bytes(head[2:6], "little") > 0
    if head.startswith(b"RIFF"):
        return size - 8 >= int.from_bytes(head[4:8], "little") > 0
    return _decodes(path, limits)


def _is_json(text: bytes) -> bool:
    if jsontext.has_more_marks(text, jsontext.MOST_MARKS):
        return False
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _decodes(path: Path, limits: InputConfig) -> bool:
    """For formats without a fixed end (TIFF): try it."""
    try:
        with Image.open(path, formats=("TIFF",)) as image:
            if image.width * image.height > limits.max_pixels:
                return False
            image.load()
    except (OSError, SyntaxError, ValueError, EOFError, TypeError, KeyError, IndexError, OverflowError, MemoryError):
        return False
    return True
