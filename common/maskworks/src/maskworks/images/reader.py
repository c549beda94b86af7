"""Image files in: JPEG, PNG, BMP, TIFF, WebP to RGB arrays."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from maskworks.config import InputConfig
from maskworks.errors import BadImage, ImageTooLarge, OutOfMemory
from maskworks.types import Bytes

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

# The limit is ours to check, from the header and as an error of the request; Pillow's would be a warning first.
Image.MAX_IMAGE_PIXELS = None


def decode_image(data: bytes | bytearray, config: InputConfig) -> tuple[Bytes, dict[str, Any]]:
    """Reads an image file of any supported format; of several frames or pages the first.

    Grey, palette, CMYK and 16 bit become 8-bit RGB (of 12 or 16 bits the highest 8 count), alpha is dropped.

    Returns:
        The image, (H, W, 3) uint8 RGB, and facts about it for `meta`: width, height, format, exif.

    Raises:
        ImageTooLarge: beyond the limits of `config`; nothing was decoded.
        BadImage: not an image, broken, or without a defined way to 8-bit RGB.
        OutOfMemory: the decoded image does not fit.
    """
    check_size(len(data), config)
    if not data:
        raise BadImage("image: empty (0 bytes); expected an image file")
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            check_pixels(image.size, config)
            fmt = "JPEG" if image.format == "MPO" else image.format  # as Pillow calls JPEG files of several pictures
            orientation = _orientation(image)
            pixels = _to_rgb(_turned(image, orientation, config.exif), getattr(image, "tag_v2", {}))
    except MemoryError:
        raise OutOfMemory("image: does not fit into memory; make it smaller or lower --max_pixels") from None
    except UnidentifiedImageError:
        raise BadImage(f"image: not of a known format; expected {', '.join(FORMATS)}") from None
    except READER_ERRORS as error:
        raise BadImage(f"image: cannot be read: {error}; expected a complete image file") from None
    turned = "none" if orientation not in _AS_STORED else "applied" if config.exif == "apply" else "ignored"
    return pixels, {"width": pixels.shape[1], "height": pixels.shape[0], "format": fmt, "exif": turned}


def check_size(size: int, config: InputConfig) -> None:
    """Raises ImageTooLarge if a file of `size` bytes is beyond --max_bytes."""
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


def _to_rgb(image: Image.Image, tags: Mapping[int, Any]) -> Bytes:
    """(H, W, 3) uint8 of an image and the tags of its file if that is a TIFF."""
    if image.mode in _SIXTEEN_BIT or (image.mode == "I" and image.format == "PNG"):
        bits = tags.get(_BITS, (16,))[0]  # Pillow gives 12 bits as they are, in 16
        grey = (np.asarray(image) >> (bits - 8)).astype(np.uint8)
        if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:  # Pillow minds it at 8 bits only
            grey = 255 - grey
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.mode == "I" and tags.get(_BITS) == (16,):
        raise BadImage("image: 16 bits with a sign have no defined range; expected 8 or 16 bits a channel without one")
    if image.mode in ("I", "F"):
        raise BadImage("image: 32 bits a pixel have no defined range; expected 8 or 16 bits a channel")
    image.load()
    image.info.pop("transparency", None)  # alpha is dropped; Pillow would warn about the palette's
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))
