"""Image files that one trusts, as those of a training: read as a worker reads them, but without its limits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from maskworks.config import InputConfig
from maskworks.images.reader import decode_image
from maskworks.images.signatures import FORMATS, kind_of_file
from maskworks.regular_file import read_regular
from maskworks.types import Bytes

_NO_LIMIT = 2**62
_TRUST = InputConfig(max_bytes=_NO_LIMIT, max_pixels=_NO_LIMIT)


def is_read(path: Path) -> bool:
    """Whether a file is of a format that `read_trusted` knows.

    Raises:
        OSError: it is no regular file, or cannot be opened.
    """
    return kind_of_file(path) in FORMATS


def read_trusted(path: Path, *, exif: str = "ignore") -> Bytes:
    """The image in a file, (H, W, 3) uint8 RGB; with `exif` as "apply" it is upright.

    Raises:
        OSError: it is no regular file, or cannot be read.
        BadImage, OutOfMemory: as `decode_image` raises them.
    """
    return decode_trusted(read_regular(path, _NO_LIMIT), exif=exif)


def decode_trusted(data: bytes | bytearray, *, exif: str = "ignore") -> Bytes:
    """The image of a file's bytes, as `read_trusted` gives that of a file.

    Raises:
        BadImage, OutOfMemory: as `decode_image` raises them.
    """
    return decode_image(data, replace(_TRUST, exif=exif))[0]
