"""Image files of all formats and kinds that are read."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

CASES = Path(__file__).parents[1] / "golden" / "images"  # files as people have them


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
        (colour, "WEBP", {"save_all": True, "append_images": [grey.convert("RGB")]}), (colour, "GIF", {}),
        (grey, "GIF", {"save_all": True, "append_images": [colour]}), (colour, "AVIF", {}),
        (colour.convert("RGBA"), "AVIF", {}),
    ]  # fmt: skip
    for image, fmt, options in kinds:
        buffer = io.BytesIO()
        image.copy().save(buffer, fmt, **options)  # an image remembers how it was saved before
        yield buffer.getvalue()
    yield from tiff_files()


def tiff_files() -> Iterable[bytes]:
    """Files that Pillow does not read: deep, in planes, of many bands, in codecs of microscopes and satellites."""
    y, x, band = np.ogrid[:17, :13, :5]
    deep = (100 * y + 50 * x + 300 * band).astype(np.uint16)
    rgb, planes = {"photometric": "rgb"}, {"photometric": "rgb", "planarconfig": "separate"}
    kinds: list[tuple[np.ndarray[Any, Any], dict[str, Any]]] = [
        (deep[..., 0], {}), (deep[..., :3], rgb), (deep, {"tile": (16, 16), "compression": "zlib", **rgb}),
        (np.moveaxis(deep, 2, 0), {"compression": "zlib", "predictor": True, **planes}),
        (np.moveaxis(deep, 2, 0).astype(np.uint8), {"compression": "lzw", **planes}),
        (deep[..., 0].astype(np.float32), {"compression": "lerc", "bigtiff": True}),
        (deep[..., 0].astype(np.int16), {"compression": "zstd", "byteorder": ">"}),
        (deep[..., :3], {"compression": "jpeg2000", **rgb}), (deep[..., :3], {"compression": "jpegxl", **rgb}),
        (deep[..., :3].astype(np.uint8), {"compression": "jpeg", "tile": (16, 16), **rgb}),
        (deep[..., :4], {"photometric": "separated"}), (deep[..., :3].astype(np.uint8), {"compression": "webp", **rgb}),
    ]  # fmt: skip
    for pixels, options in kinds:
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, pixels, metadata=None, **options)
        yield buffer.getvalue()
