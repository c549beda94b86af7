"""The size of a WebP image, from the head of its file: Pillow takes memory for all of it before it tells the size."""

from __future__ import annotations


def webp_size(data: bytes | bytearray) -> tuple[int, int] | None:
    """Width and height in pixels as RFC 9649 stores them; None if the file is not a WebP file with a known head."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    kind, head = bytes(data[12:16]), bytes(data[20:30])
    if kind == b"VP8X":
        return 1 + int.from_bytes(head[4:7], "little"), 1 + int.from_bytes(head[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        return int.from_bytes(head[6:8], "little") & 0x3FFF, int.from_bytes(head[8:10], "little") & 0x3FFF
    return None
