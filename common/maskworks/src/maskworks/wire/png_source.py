"""Of which image a mask or an overlay was made: a note in the PNG file, which images themselves do not have.

The note is a chunk `tEXt`, which every PNG file may have and every reader skips: a keyword, a zero byte, and the file
name of the image, percent-encoded because the chunk is Latin-1.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from urllib.parse import quote, unquote

from PIL import Image, PngImagePlugin, UnidentifiedImageError

from maskworks.images.common import PILLOW_FORMATS, READER_ERRORS
from maskworks.regular_file import open_regular

_KEYWORD = "Segmentation of"
_HEAD = 33  # bytes: the signature (8) and the chunk IHDR (25), which comes first; ours follows it


def with_source(png: bytes, image: str) -> bytes:
    """A PNG file with a note that it was made of the image of this file name."""
    chunk = BytesIO()
    text = f"{_KEYWORD}\0{quote(image, errors='surrogateescape')}"
    PngImagePlugin.putchunk(chunk, b"tEXt", text.encode())
    return png[:_HEAD] + chunk.getvalue() + png[_HEAD:]


def source_of(file: Path | BytesIO) -> str | None:
    """What `with_source` noted in an image file; empty if there is no note or no reading it, None if it is no image."""
    try:
        opened = open_regular(file) if isinstance(file, Path) else file
        with opened, Image.open(opened, formats=PILLOW_FORMATS) as image:
            return unquote(str(image.info.get(_KEYWORD, "")), errors="surrogateescape")
    except UnidentifiedImageError:
        return None
    except READER_ERRORS:
        return ""
