"""Image files of all formats and kinds that are read."""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np
from PIL import Image


def image_files() -> Iterable[bytes]:
    """Small files, one for each way in which pixels can be stored."""
    ramp = np.add.outer(np.arange(13), 5 * np.arange(17)).astype(np.uint8)
    colour = Image.fromarray(np.stack([ramp, 255 - ramp, ramp // 2], axis=-1))
    grey = Image.fromarray(ramp)
    exif = colour.getexif()
    exif[0x0112] = 6
    deep = Image.fromarray(ramp.astype(np.uint16) * 257)
    kinds = [
        (colour, "PNG", {}), (colour.convert("P"), "PNG", {"transparency": 3}), (colour.convert("RGBA"), "PNG", {}),
        (deep, "PNG", {}), (grey.convert("1"), "PNG", {}), (grey.convert("LA"), "PNG", {}),
        (colour, "JPEG", {"exif": exif}), (colour, "JPEG", {"progressive": True}), (grey, "JPEG", {}),
        (colour.convert("CMYK"), "JPEG", {}), (colour, "BMP", {}), (colour.convert("P"), "BMP", {}),
        (grey.convert("1"), "BMP", {}), (colour, "TIFF", {}), (colour, "TIFF", {"compression": "tiff_lzw"}),
        (colour, "TIFF", {"compression": "tiff_adobe_deflate", "tiffinfo": {274: 3}}), (deep, "TIFF", {}),
        (grey.convert("1"), "TIFF", {"compression": "group4"}), (colour.convert("CMYK"), "TIFF", {}),
        (colour, "TIFF", {"save_all": True, "append_images": [grey]}), (colour, "TIFF", {"big_tiff": True}),
        (colour, "WEBP", {}), (colour.convert("RGBA"), "WEBP", {"lossless": True}),
        (colour, "WEBP", {"save_all": True, "append_images": [grey.convert("RGB")]}),
    ]  # fmt: skip
    for image, fmt, options in kinds:
        buffer = io.BytesIO()
        image.copy().save(buffer, fmt, **options)  # an image remembers how it was saved before
        yield buffer.getvalue()
