"""HEIC and AVIF: files of one container, told apart by their brands. The rotation in it belongs to the decoding."""

from __future__ import annotations

import re
from io import BytesIO

from PIL import AvifImagePlugin, Image

from maskworks.errors import BadImage

_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_AVIF = {b"avif", b"avis"}
_MOST_BRANDS = 64


def is_container(data: bytes | bytearray) -> bool:
    """Whether this may be a HEIC or AVIF file; videos may, too."""
    return data[4:8] == b"ftyp"


def is_heic(data: bytes | bytearray) -> bool:
    """Whether this is a HEIC file; AVIF files are not."""
    if not is_container(data):
        return False
    end = min(int.from_bytes(data[:4], "big"), 4 * _MOST_BRANDS)
    brands = {bytes(data[8:12]), *(bytes(data[place : place + 4]) for place in range(16, end - 3, 4))}
    return bool(brands & _HEIC) and not brands & _AVIF


def open_heif(data: bytes | bytearray) -> Image.Image:
    """The main image of a HEIC or AVIF file, not decoded yet, for a decoder of one thread: the limits count for one.

    Raises:
        BadImage: the package that reads HEIC is not installed.
        SyntaxError, UnidentifiedImageError: it is broken, or neither of the two.
    """
    if not is_heic(data):
        AvifImagePlugin.DEFAULT_MAX_THREADS = 1
        return Image.open(BytesIO(data), formats=("AVIF",))
    try:
        from pillow_heif import HeifImageFile, options
    except ModuleNotFoundError:
        raise BadImage(
            "image: HEIC, which the package pillow-heif reads: install it, or maskworks[heic]; or save it as JPEG"
        ) from None
    options.DECODE_THREADS = 1
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    file: Image.Image = HeifImageFile(BytesIO(data))  # type: ignore[no-untyped-call]
    return file


def is_turned(data: bytes | bytearray) -> bool:
    """Whether a HEIC file names a mirroring or a rotation, which its decoder applies."""
    tables = bytes(data[: data.find(b"mdat")])
    angles = (tables[place.end() : place.end() + 1] for place in re.finditer(b"irot", tables))
    return b"imir" in tables or any(angle not in (b"", b"\0") for angle in angles)
