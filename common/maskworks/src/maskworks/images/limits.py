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


def check_pixels(size: tuple[int, int], config: InputConfig) -> None:
    """Raises ImageTooLarge if an image of (width, height) is beyond --max_pixels, BadImage if it has no pixel."""
    width, height = size
    if width * height > config.max_pixels:
        raise ImageTooLarge(
            f"image: {width}x{height} = {width * height} pixels; expected at most {config.max_pixels} (--max_pixels)"
        )
    if width == 0 or height == 0:
        raise BadImage(f"image: {width}x{height} pixels; expected at least one")
