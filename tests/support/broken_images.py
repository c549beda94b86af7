"""Image files broken in every way that the formats offer."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tests.support.image_files import image_files


def broken_images() -> Iterator[tuple[str, bytes]]:
    """Names and contents."""
    for index, data in enumerate(image_files()):
        name = f"{index}-{_format(data)}"
        for cut in _cuts(data):
            yield f"{name} cut after {cut}", data[:cut]
        for place in range(0, min(len(data), 64)):
            for value in (0x00, 0x7F, 0xFF):
                yield f"{name} byte {place} is {value}", data[:place] + bytes([value]) + data[place + 1 :]
        for place in range(0, min(len(data), 64), 2):
            yield f"{name} length {place}", data[:place] + b"\xff\xff\xff\x7f" + data[place + 4 :]
    yield from _png()
    yield from _tiff()
    yield from _bmp()
    yield from _jpeg()
    yield from _webp()


def _format(data: bytes) -> str:
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):  # not all of these are known to Pillow
        return "TIFF"
    with Image.open(io.BytesIO(data)) as image:
        return str(image.format)


def _cuts(data: bytes) -> list[int]:
    """Behind every segment, chunk or marker and in the middle of them, as far as they can be told by their look."""
    marks = {0, 1, 2, 4, 8, 16, len(data) // 2, len(data) - 1}
    marks |= {place for place in range(len(data) - 1) if data[place] == 0xFF and data[place + 1] not in (0, 0xFF)}
    marks |= {data.find(tag, 0) + 4 for tag in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"VP8 ", b"VP8L", b"ANIM")}
    return sorted(mark for mark in marks if 0 <= mark < len(data))


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2) -> bytes:
    """A PNG file with these chunks between its header and its end."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def _png() -> Iterator[tuple[str, bytes]]:
    rows = zlib.compress(b"\0" * (1 + 3 * 4) * 4)
    yield "png of no width", png(0, 4, chunk(b"IDAT", rows))
    yield "png of 2 billion pixels a side", png(2**31 - 1, 2**31 - 1, chunk(b"IDAT", rows))
    yield "png of unknown depth", png(4, 4, chunk(b"IDAT", rows), depth=7)
    yield "png without data", png(4, 4)
    yield "png with too little data", png(400, 400, chunk(b"IDAT", rows))
    yield "png with a bomb in its data", png(4, 4, chunk(b"IDAT", zlib.compress(bytes(50_000_000), 9)))
    yield "png with a bomb in its text", png(4, 4, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(200_000_000), 9)))
    yield "png with a bomb in its profile", png(4, 4, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(99_000_000), 9)))
    palette = chunk(b"PLTE", bytes(3 * 100_000))
    yield "png with a huge palette", png(4, 4, palette, chunk(b"IDAT", zlib.compress(b"\0\1\2\3\4" * 4)), colour=3)
    yield (
        "png whose pixels are beyond its palette",
        png(4, 4, chunk(b"PLTE", bytes(3)), chunk(b"IDAT", zlib.compress(b"\0\xff\xff\xff\xff" * 4)), colour=3),
    )
    yield "png with a thousand chunks", png(4, 4, *[chunk(b"tEXt", b"a\0b")] * 1000, chunk(b"IDAT", rows))
    yield "png with frames beyond its size", png(
        4, 4, chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)), chunk(b"IDAT", rows),
        chunk(b"fcTL", struct.pack(">IIIIIHHBB", 0, 2**30, 2**30, 0, 0, 1, 1, 0, 0)),
    )  # fmt: skip


def tiff(*entries: tuple[int, int, int, int], following: int = 0, count: int | None = None) -> bytes:
    """A little-endian TIFF file of one directory; entries are tag, type, count and value or place."""
    directory = struct.pack("<H", len(entries) if count is None else count)
    directory += b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8) + directory + struct.pack("<I", following) + bytes(64)


def _tiff() -> Iterator[tuple[str, bytes]]:
    size = [(256, 4, 1, 4), (257, 4, 1, 4), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)]
    data = [(273, 4, 1, 100), (277, 3, 1, 1), (278, 4, 1, 4), (279, 4, 1, 16)]
    yield "tiff whose directories loop", tiff(*size, *data, following=8)
    yield "tiff that goes on behind its end", tiff(*size, *data, following=2**31)
    yield "tiff with entries behind its end", tiff(*size, *data, count=65_535)
    yield "tiff with data behind its end", tiff(*size, (273, 4, 1, 2**31), *data[1:])
    yield "tiff with a billion strips", tiff(*size, (273, 4, 2**30, 8), *data[1:])
    yield "tiff of 4 billion pixels a side", tiff((256, 4, 1, 2**32 - 1), (257, 4, 1, 2**32 - 1), *size[2:], *data)
    yield "tiff of unknown compression", tiff(*size[:3], (259, 3, 1, 64_999), size[4], *data)
    yield "tiff of 65535 samples", tiff(*size, data[0], (277, 3, 1, 65_535), *data[2:])
    yield "tiff without a directory", b"II*\0" + struct.pack("<I", 2**31)
    yield "tiff whose exif loops", tiff(*size, *data, (34665, 4, 1, 8))


def _bmp() -> Iterator[tuple[str, bytes]]:
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(buffer, "BMP")
    good = buffer.getvalue()
    for name, place, form, value in (
        ("a negative width", 18, "<i", -4), ("a negative height", 22, "<i", -(2**31)),
        ("a giant width", 18, "<i", 2**31 - 1),
        ("a giant palette", 46, "<I", 2**31), ("data behind its end", 10, "<I", 2**31), ("31 bits", 28, "<H", 31),
        ("an unknown compression", 30, "<I", 77), ("a giant header", 14, "<I", 2**31), ("run lengths", 30, "<I", 1),
    ):  # fmt: skip
        data = bytearray(good)
        struct.pack_into(form, data, place, value)
        yield f"bmp with {name}", bytes(data)


def _jpeg() -> Iterator[tuple[str, bytes]]:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (9, 99, 200)).save(buffer, "JPEG")
    good = buffer.getvalue()
    frame = good.index(b"\xff\xc0")
    for name, place, value in (
        ("of 65535 pixels a side", 5, b"\xff\xff\xff\xff"), ("of no size", 5, bytes(4)),
        ("of 255 components", 9, b"\xff"),
        ("of 12 bits", 4, b"\x0c"), ("with a frame of no length", 2, bytes(2)), ("with a giant frame", 2, b"\xff\xff"),
    ):  # fmt: skip
        yield f"jpeg {name}", good[: frame + place] + value + good[frame + place + len(value) :]
    yield "jpeg of markers only", b"\xff\xd8" + b"\xff\xe0\x00\x02" * 10_000 + b"\xff\xd9"
    yield "jpeg with a thousand previews", good[:2] + b"\xff\xe1\x00\x08Exif\0\0" * 1000 + good[2:]
    yield "jpeg of fill bytes", b"\xff\xd8" + b"\xff" * 100_000
    yield "jpeg with two frames", good[:frame] + good[frame : frame + 19] + good[frame:]


def _webp() -> Iterator[tuple[str, bytes]]:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16)).save(buffer, "WEBP")
    good = buffer.getvalue()
    yield "webp that is longer than it is", good[:4] + b"\xff\xff\xff\x7f" + good[8:]
    yield "webp of no length", good[:4] + bytes(4) + good[8:]
    extended = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + b"\xff" * 6
    yield "webp of 16 million pixels a side", b"RIFF" + struct.pack("<I", 22) + b"WEBP" + extended
    yield "webp with nothing in it", b"RIFF" + struct.pack("<I", 4) + b"WEBP"
