"""Image files in: JPEG, PNG, BMP, TIFF, WebP to RGB arrays.

Whoever reads files of strangers does it in a process that can be ended; see `maskworks.images.decoder_pool`.
"""

from __future__ import annotations

import struct
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, ClassVar

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from maskworks.config import InputConfig
from maskworks.errors import BadImage, ImageTooLarge, OutOfMemory
from maskworks.images.webp import webp_size
from maskworks.types import Bytes, ImageDecoder

# Errors of Pillow's readers on broken files, depending on the place of the damage.
READER_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, TypeError, KeyError, IndexError, OverflowError, AttributeError,
    struct.error, zlib.error,
)  # fmt: skip
FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
_ORIENTATION, _BITS, _PHOTOMETRIC = 0x0112, 258, 262  # the numbers of tags, in EXIF and in TIFF
_WHITE_IS_ZERO = 0  # a value of the tag `_PHOTOMETRIC`
# For each value of the tag `_ORIENTATION` but 1: back from upright to how the pixels are stored. Pillow itself turns
# TIFF files upright, and only those.
_AS_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
# Pillow's modes of one channel with 16 bits, in the byte order of the machine or in a named one.
_SIXTEEN_BIT = ("I;16", "I;16L", "I;16B", "I;16N")

# Pixels are taken out of Pillow's image in strips of so many: these stay in the processor's cache.
_STRIP_PIXELS = 1 << 18

# The limit is ours to check, from the header and as an error of the request; Pillow's would be a warning first.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class InProcessDecoder:
    """Decodes where it is called, for as long as that takes: for files that one trusts.

    Attributes:
        limits: on files and images.
        ended: no decode is ended before its time.
    """

    limits: InputConfig = field(default_factory=InputConfig)
    ended: ClassVar[int] = 0

    def decode(self, data: bytes | bytearray) -> tuple[Bytes, dict[str, Any]]:
        return decode_image(data, self.limits)

    def watched(self, given_up: threading.Event) -> ImageDecoder:
        return self


def decode_image(
    data: bytes | bytearray, config: InputConfig, new_image: Callable[[tuple[int, int, int]], Bytes] | None = None
) -> tuple[Bytes, dict[str, Any]]:
    """Reads an image file of any supported format; of several frames or pages the first.

    Grey, palette, CMYK and 16 bit become 8-bit RGB (of 12 or 16 bits the highest 8 count), alpha is dropped.

    Args:
        data: the file.
        config: the limits, and what to do about an orientation.
        new_image: gives the array to fill for a shape (H, W, 3); by default a new one.

    Returns:
        The image, (H, W, 3) uint8 RGB, and facts about it for `meta`: width, height, format, exif.

    Raises:
        ImageTooLarge: beyond the limits of `config`; nothing was decoded.
        BadImage: not an image, broken, or without a defined way to 8-bit RGB.
        OutOfMemory: the decoded image does not fit.
    """
    check_size(len(data), config)
    if (size := webp_size(data)) is not None:
        check_pixels(size, config)
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            check_pixels(image.size, config)
            fmt = "JPEG" if image.format == "MPO" else image.format  # as Pillow calls JPEG files of several pictures
            orientation = _orientation(image)
            turned = _turned(image, orientation, config.exif)
            pixels = (new_image or _new_image)((turned.height, turned.width, 3))
            _fill(pixels, turned, getattr(image, "tag_v2", {}))
    except MemoryError:
        raise OutOfMemory("image: does not fit into memory; make it smaller or lower --max_pixels") from None
    except UnidentifiedImageError:
        raise BadImage(f"image: not of a known format; expected {', '.join(FORMATS)}") from None
    except READER_ERRORS as error:
        raise BadImage(f"image: cannot be read: {error}; expected a complete image file") from None
    exif = "none" if orientation not in _AS_STORED else "applied" if config.exif == "apply" else "ignored"
    return pixels, {"width": pixels.shape[1], "height": pixels.shape[0], "format": fmt, "exif": exif}


def check_size(size: int, config: InputConfig) -> None:
    """Raises BadImage if a file of `size` bytes is empty, ImageTooLarge if it is beyond --max_bytes."""
    if size == 0:
        raise BadImage("image: empty (0 bytes); expected an image file")
    if size > config.max_bytes:
        raise ImageTooLarge(f"image: {size} bytes; expected at most {config.max_bytes} (--max_bytes)")


def check_pixels(size: tuple[int, int], config: InputConfig) -> None:
    width, height = size
    if width * height > config.max_pixels:
        raise ImageTooLarge(
            f"image: {width}x{height} = {width * height} pixels; expected at most {config.max_pixels} (--max_pixels)"
        )
    if width == 0 or height == 0:
        raise BadImage(f"image: {width}x{height} pixels; expected at least one")


def _orientation(image: Image.Image) -> Any:
    """EXIF's orientation; 1, which is upright, if it is missing or cannot be read."""
    if image.format == "TIFF":  # its EXIF are the tags of the image itself
        return image.getexif().get(_ORIENTATION, 1)
    if image.format == "PNG":  # its EXIF may stand behind the pixels, of which errors are not to be passed over
        image.load()
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except READER_ERRORS:
        return 1


def _turned(image: Image.Image, orientation: Any, exif: str) -> Image.Image:
    if orientation not in _AS_STORED:
        return image
    if exif == "apply":
        ImageOps.exif_transpose(image, in_place=True)
    elif image.format == "TIFF":
        image.load()
        return image.transpose(_AS_STORED[orientation])
    return image


def _new_image(shape: tuple[int, int, int]) -> Bytes:
    return np.empty(shape, np.uint8)


def _fill(pixels: Bytes, image: Image.Image, tags: Mapping[int, Any]) -> None:
    """Fills (H, W, 3) uint8 from an image and the tags of its file if that is a TIFF."""
    if image.mode in _SIXTEEN_BIT or (image.mode == "I" and image.format == "PNG"):
        bits = tags.get(_BITS, (16,))[0]  # Pillow gives 12 bits as they are, in 16
        white_is_zero = tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO  # Pillow minds it at 8 bits only
        for rows, strip in _strips(image):
            grey = (np.asarray(strip) >> (bits - 8)).astype(np.uint8)
            pixels[rows] = (255 - grey if white_is_zero else grey)[:, :, None]
        return
    if image.mode == "I" and tags.get(_BITS) == (16,):
        raise BadImage("image: 16 bits with a sign have no defined range; expected 8 or 16 bits a channel without one")
    if image.mode in ("I", "F"):
        raise BadImage("image: 32 bits a pixel have no defined range; expected 8 or 16 bits a channel")
    image.load()
    image.info.pop("transparency", None)  # alpha is dropped; Pillow would warn about the palette's
    for rows, strip in _strips(image):
        pixels[rows] = np.asarray(strip if strip.mode == "RGB" else strip.convert("RGB"))


def _strips(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """An image in pieces of its full width, each with its rows."""
    height = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, height):
        bottom = min(image.height, top + height)
        yield slice(top, bottom), image.crop((0, top, image.width, bottom))
