"""Image files that are small, and make a decoder work for long or take much memory."""

from __future__ import annotations

import io
import struct

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


def tiled_tiff(side: int) -> bytes:
    """A TIFF of side x side grey pixels, each of them a tile of its own."""
    count = side * side
    # Tiles have a multiple of 16 pixels a side by the specification, but libtiff reads others.
    tags: list[tuple[int, int, int, int]] = []
    head = 8
    offsets = head + 2 + 12 * 12 + 4
    counts = offsets + 4 * count
    pixel = counts + 4 * count
    for tag, kind, number, value in (
        (256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1),
        (284, 3, 1, 1), (322, 4, 1, 1), (323, 4, 1, 1), (324, 4, count, offsets), (325, 4, count, counts),
        (339, 3, 1, 1),
    ):  # fmt: skip
        tags.append((tag, kind, number, value))
    directory = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + b"\0" * 4
    tables = np.full(count, pixel, "<u4").tobytes() + np.ones(count, "<u4").tobytes()
    return struct.pack("<2sHI", b"II", 42, head) + directory + tables + b"\x80"
