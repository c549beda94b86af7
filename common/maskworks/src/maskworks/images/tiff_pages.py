"""The pages of a TIFF file, from its tables alone: which of them are images, and which are thumbnails or masks."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from maskworks.errors import BadImage

_NEW_SUBFILE_TYPE, _SUBFILE_TYPE = 254, 255
_REDUCED, _MASK = 1, 4  # bits of the first tag
_OLD_REDUCED = 2  # value of the second one
_MOST_PAGES = 1_000_000


@dataclass(frozen=True)
class Place:
    """Where the chosen image is.

    Attributes:
        index: among all pages of the file, thumbnails included, from 0.
        count: images in the file, thumbnails and masks left out.
        is_image: false if the file has nothing but thumbnails and masks at its first level.
    """

    index: int
    count: int
    is_image: bool = True


def find_page(data: bytes | bytearray, wanted: int) -> Place:
    """The place of image `wanted`, counted from 0 without thumbnails and masks; those count if there is nothing else.

    Raises:
        BadImage: there are not so many.
        ValueError: the tables are broken before anything is found.
    """
    index, count, pages = -1, 0, 0
    for place, is_image in enumerate(_pages(data)):
        if is_image and count == wanted:
            index = place
        count += is_image
        pages = place + 1
    if not pages:
        raise ValueError("no page")
    if not count and wanted < pages:
        return Place(wanted, pages, is_image=False)
    if index < 0:
        count = count or pages
        raise BadImage(f"image: has {count} page{'s' * (count > 1)}; --page {wanted} asks for another, counted from 0")
    return Place(index, count)


def _pages(data: bytes | bytearray) -> Iterator[bool]:
    """For each page whether it is an image. A chain that ends in nothing or in a circle ends there."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    first, number, entry, pointer = (8, "Q", 20, "Q") if big else (4, "H", 12, "I")
    size_of_number, seen = struct.calcsize(number), set[int]()
    try:
        (place,) = struct.unpack_from(order + pointer, data, first)
        while place and place not in seen and len(seen) < _MOST_PAGES:
            seen.add(place)
            (count,) = struct.unpack_from(order + number, data, place)
            table = place + size_of_number
            end = table + entry * count
            yield _is_image(data, range(table, min(end, len(data) - entry + 1), entry), order, entry)
            (place,) = struct.unpack_from(order + pointer, data, end)
    except struct.error:
        return


def _is_image(data: bytes | bytearray, entries: range, order: str, size: int) -> bool:
    for entry in entries:  # in ascending order of their tags
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if tag > _SUBFILE_TYPE:
            break
        if tag in (_NEW_SUBFILE_TYPE, _SUBFILE_TYPE):
            (value,) = struct.unpack_from(
                order + ("H" if kind == 3 else "I"), data, entry + size - (8 if size == 20 else 4)
            )
            if tag == _NEW_SUBFILE_TYPE:
                return not value & (_REDUCED | _MASK)
            return bool(value != _OLD_REDUCED)
    return True
