"""PNG files without what is not pixels: text, profiles and times neither spoil a picture nor take memory."""

from __future__ import annotations

import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FRAME = 12  # bytes of length, type and CRC around the content of a chunk
_MOST_TEXT = 64 * 1024  # as large as EXIF in other formats can be
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
# Texts that can hold an orientation.
_ORIENTED = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0")


def only_pixels(data: bytes | bytearray) -> bytes | bytearray:
    """The file with the chunks that decide on pixels and their orientation; the same file if it has no others."""
    pieces: list[bytes | bytearray] = []
    start = place = len(SIGNATURE)
    while place + _FRAME <= len(data):
        end = place + _FRAME + int.from_bytes(data[place : place + 4], "big")
        kind = bytes(data[place + 4 : place + 8])
        if end <= len(data) and not _is_needed(kind, data, place + 8, end):
            pieces.append(data[start:place])
            start = end
        if kind == b"IEND":
            break
        place = end
    return b"".join([SIGNATURE, *pieces, data[start:]]) if pieces else data


def _is_needed(kind: bytes, data: bytes | bytearray, begin: int, end: int) -> bool:
    if kind[:1].isupper():  # critical, as the specification says it; errors in these are errors of the picture
        return True
    if kind != b"eXIf" and kind not in _TEXTS:
        return False
    body = bytes(data[begin : min(end - 4, begin + _MOST_TEXT)])
    if begin + len(body) != end - 4 or zlib.crc32(kind + body) != int.from_bytes(data[end - 4 : end], "big"):
        return False
    if kind == b"eXIf":
        return True
    return body.startswith(_ORIENTED) and (kind == b"tEXt" or _unpacks(body.partition(b"\0")[2], kind))


def _unpacks(text: bytes, kind: bytes) -> bool:
    """Whether a text behind its keyword is short once it is unpacked."""
    if kind == b"iTXt":
        if text[:1] == b"\0":
            return True
        text = text[2:].partition(b"\0")[2].partition(b"\0")[2]  # behind the language and the translated keyword
    else:
        text = text[1:]
    try:
        return len(zlib.decompressobj().decompress(text, _MOST_TEXT)) < _MOST_TEXT
    except zlib.error:
        return False
