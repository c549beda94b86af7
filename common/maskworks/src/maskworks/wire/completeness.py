"""Whether a file that somebody writes is complete, by the end that its format prescribes. Nothing is decoded."""

from __future__ import annotations

import enum
import json
import os
from pathlib import Path

from maskworks.config import InputConfig
from maskworks.regular_file import content, open_regular
from maskworks.wire import jsontext

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two are those of files beyond 4 GB


class End(enum.Enum):
    """What the end of a file tells."""

    THERE = "the end that its format prescribes: it is complete"
    MISSING = "another one: it is not complete, or of no known format"
    UNMARKED = "nothing: its format marks no end. Some programs give a file its full size before its content"


def end_of(path: Path, limits: InputConfig, *, is_prompt: bool) -> End:
    """What the end of an image or of a prompt tells; a prompt ends where its JSON does.

    Of a prompt beyond the limits nobody can be sure, as it is not read.

    Raises:
        OSError: it is no regular file, or cannot be read.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if is_prompt:
            return End.THERE if size <= limits.max_bytes and _is_json(content(file, limits.max_bytes)) else End.MISSING
        head = file.read(min(12, size)) or b""
        file.seek(max(0, size - 12))
        tail = file.read(min(12, size)) or b""
    if head.startswith(b"\xff\xd8"):
        return End.THERE if tail.endswith(b"\xff\xd9") else End.MISSING
    if head.startswith(b"\x89PNG"):
        return End.THERE if tail[4:8] == b"IEND" else End.MISSING
    if head.startswith(b"BM"):
        return End.UNMARKED if size >= int.from_bytes(head[2:6], "little") > 0 else End.MISSING
    if head.startswith(b"RIFF"):
        return End.UNMARKED if size - 8 >= int.from_bytes(head[4:8], "little") > 0 else End.MISSING
    # GIF ends with a semicolon, as one part in 256 of it does; `ftyp` are HEIC and AVIF.
    is_known = head.startswith((*_TIFF, b"GIF8")) or head[4:8] == b"ftyp"
    return End.UNMARKED if is_known else End.MISSING


def _is_json(text: bytes) -> bool:
    if jsontext.has_more_marks(text, jsontext.MOST_MARKS):
        return False
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
