"""The limits on image files that can be checked before anything is decoded."""

from __future__ import annotations

from maskworks.config import InputConfig
from maskworks.errors import BadImage, ImageTooLarge


def check_size(size: int, config: InputConfig) -> None:
    """Raises BadImage if a file of `size` bytes is empty, ImageTooLarge if it is beyond --max_bytes."""
    if size == 0:
        raise BadImage("image: empty (0 bytes); expected an image file")
    if size > config.max_bytes:
        raise ImageTooLarge(f"image: {size} bytes; expected at most {config.max_bytes} (--max_bytes)")


# Much of what is done with an image, and with its mask, goes row by row or column by column.
LONGEST_SIDE = 250_000


def check_pixels(size: tuple[int, int], config: InputConfig) -> None:
    """Raises ImageTooLarge if an image of (width, height) is beyond --max_pixels, BadImage if it has no pixel."""
    width, height = size
    if max(size) > LONGEST_SIDE:
        raise ImageTooLarge(f"image: {width}x{height} pixels; expected at most {LONGEST_SIDE} a side")
    if width * height > config.max_pixels:
        raise ImageTooLarge(
            f"image: {width}x{height} = {width * height} pixels; expected at most {config.max_pixels} (--max_pixels)"
        )
    if width == 0 or height == 0:
        raise BadImage(f"image: {width}x{height} pixels; expected at least one")
