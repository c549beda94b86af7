"""Small images and prompts, and reading what came of them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

PROMPT = b'{"points": [[8, 4], [4, 8], [12, 8], [8, 12]]}'


def picture(value: int = 255, size: tuple[int, int] = (24, 16)) -> Image.Image:
    """A dark RGB image of (width, height) with a square of brightness `value` at (4, 4) to (12, 12)."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[4:13, 4:13] = value
    return Image.fromarray(pixels)


def encoded(image: Image.Image | None = None, fmt: str = "PNG", **options: object) -> bytes:
    """The image, by default `picture()`, as a file of a format."""
    buffer = io.BytesIO()
    (image or picture()).save(buffer, fmt, **options)
    return buffer.getvalue()


def loaded(path: Path) -> Image.Image:
    """An image file as a picture that holds no file open."""
    with Image.open(path) as image:
        image.load()
        return image


def prompt(**value: object) -> bytes:
    """A prompt file with these keys."""
    return json.dumps(value).encode()
