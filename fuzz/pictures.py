"""Formats whose decoders are large libraries: TIFF, AVIF, HEIC. Read as a worker reads them, in a process of its own.

A decoder that crashes, hangs or takes all memory is no finding as long as its file is answered: that is what the
processes are for. `image` in `fuzz/images.py` reads TIFF and AVIF in this process, where coverage guides it.
"""

from __future__ import annotations

import atexit
import importlib.util
import io
import threading
from collections.abc import Iterable
from functools import cache

import numpy as np
from PIL import Image

from fuzz.target import Target
from maskworks.config import InputConfig
from maskworks.errors import BadImage, ImageTooLarge
from maskworks.images.decoder_pool import DecoderPool
from tests.support.image_files import image_files, tiff_files

LIMITS = InputConfig(max_bytes=1 << 20, max_pixels=1 << 18, decode_timeout=2)


@cache
def pool() -> DecoderPool:
    """Decoder processes, which end with this one."""
    found = DecoderPool(LIMITS, threading.Event())
    atexit.register(found.close)
    return found


def run_picture(data: bytes) -> None:
    """It is answered: with pixels, or with a refusal."""
    try:
        pixels, meta = pool().decode(data)
    except (BadImage, ImageTooLarge):
        return
    assert pixels.dtype == np.uint8
    assert pixels.shape == (meta["height"], meta["width"], 3)
    assert pixels.size <= 3 * LIMITS.max_pixels


def avif_files() -> Iterable[bytes]:
    """Those of `image_files`, and one that is turned."""
    exif = Image.Exif()
    exif[0x0112] = 6
    yield from (data for data in image_files() if data[4:12] == b"ftypavif")
    yield _stored("AVIF", exif=exif.tobytes())


def heic_files() -> Iterable[bytes]:
    """In colour, grey, with alpha; nothing but the head of one where the package that writes them is missing."""
    if importlib.util.find_spec("pillow_heif") is None:
        yield b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
        return
    import pillow_heif

    pillow_heif.register_heif_opener()
    for mode in ("RGB", "L", "RGBA"):
        yield _stored("HEIF", mode)


def _stored(fmt: str, mode: str = "RGB", **options: object) -> bytes:
    ramp = np.add.outer(np.arange(64), 2 * np.arange(96)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(np.stack([ramp, 255 - ramp, ramp // 2], axis=-1)).convert(mode).save(file, fmt, **options)
    return file.getvalue()


TIFF = Target(run_picture, tiff_files, longest=16384)
AVIF = Target(run_picture, avif_files, longest=8192)
HEIC = Target(run_picture, heic_files, longest=8192)
