"""Image files that are small, and make a decoder work for long or take much memory."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

SCAN = b"\xff\xda"


def progressive_jpeg(scans: int, side: int = 1000) -> bytes:
    """A JPEG of side x side pixels that refines the same coefficients again and again, some bytes for each time."""
    file = io.BytesIO()
    Image.new("L", (side, side), 128).save(file, "JPEG", progressive=True)
    data = file.getvalue()
    start, end = data.rindex(SCAN), data.rindex(b"\xff\xd9")
    return data[:end] + data[start:end] * scans + data[end:]


def tiled_tiff(side: int, bits: int = 8) -> bytes:
    """A TIFF of side x side grey pixels of 8 or 16 bits, each of them a tile of its own."""
    count = side * side
    # Tiles have a multiple of 16 pixels a side by the specification, but libtiff reads others.
    tags: list[tuple[int, int, int, int]] = []
    head = 8
    offsets = head + 2 + 12 * 12 + 4
    counts = offsets + 4 * count
    pixel = counts + 4 * count
    for tag, kind, number, value in (
        (256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, bits), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1),
        (284, 3, 1, 1), (322, 4, 1, 1), (323, 4, 1, 1), (324, 4, count, offsets), (325, 4, count, counts),
        (339, 3, 1, 1),
    ):  # fmt: skip
        tags.append((tag, kind, number, value))
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + b"\0" * 4
    tables = np.full(count, pixel, "<u4").tobytes() + np.full(count, bits // 8, "<u4").tobytes()
    return struct.pack("<2sHI", b"II", 42, head) + directory + tables + b"\x80\x80"


def wide_tiff(side: int, bands: int) -> bytes:
    """A TIFF of side x side pixels of many bands whose pieces are one and the same small piece of zeros."""
    return _one_strip(side, side, zlib.compress(bytes(1000)), {258: 64, 259: 8, 262: 1, 277: bands, 339: 3})


def tiff_with_a_large_jpeg(side: int) -> bytes:
    """A TIFF of 64 x 64 pixels with a JPEG inside that says it is side x side pixels large."""
    file = io.BytesIO()
    Image.new("L", (64, 64), 128).save(file, "JPEG")
    jpeg = bytearray(file.getvalue())
    struct.pack_into(">HH", jpeg, jpeg.index(b"\xff\xc0") + 5, side, side)
    return _one_strip(64, 64, bytes(jpeg), {258: 8, 259: 7, 262: 1, 277: 1, 284: 2})


def tiff_that_unpacks(size: int) -> bytes:
    """A TIFF of 64 x 64 pixels of 16 bits with one piece that unpacks to far more."""
    return _one_strip(64, 64, zlib.compress(bytes(size), 9), {258: 16, 259: 8, 262: 1, 277: 1})


def _one_strip(width: int, height: int, strip: bytes, tags: dict[int, int]) -> bytes:
    tags = {256: width, 257: height, 273: 0, 278: height, 279: len(strip), **tags}
    tags[273] = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    return struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4) + strip


def large_avif(side: int) -> bytes:
    """An AVIF of side x side pixels in few bytes."""
    file = io.BytesIO()
    Image.new("L", (side, side), 128).save(file, "AVIF", speed=10)
    return file.getvalue()
