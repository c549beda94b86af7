"""A request with the answer that it has to get."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image


@dataclass(frozen=True)
class Request:
    """An image with its prompt.

    Attributes:
        name: comes back with the answer.
        image: a file.
        prompt: JSON text, or what is none.
        code: of the error that it has to be answered with; None for a good one.
        labels: of which some are in the mask of a good one; None where it depends on what the model finds.
        size: width and height of its image.
        hostile: nobody minds how long it takes.
    """

    name: str
    image: bytes
    prompt: bytes
    code: str | None = None
    labels: frozenset[int] | None = None
    size: tuple[int, int] = (0, 0)
    hostile: bool = False


def giant() -> bytes:
    """The beginning of a BMP file of 60000x60000 pixels."""
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4)).save(buffer, "BMP")
    data = bytearray(buffer.getvalue())
    data[18:26] = (60_000).to_bytes(4, "little") * 2
    return bytes(data)
