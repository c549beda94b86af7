"""Image files in, RGB arrays out.

Whoever reads files of strangers does it in a process that can be ended; see `maskworks.images.decoder_pool`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from PIL import UnidentifiedImageError

from maskworks.config import InputConfig
from maskworks.errors import BadImage, OutOfMemory, RequestError
from maskworks.images.common import READER_ERRORS, NewImage, read_common
from maskworks.images.limits import check_pixels, check_size
from maskworks.images.signatures import FORMATS, kind_of, unread
from maskworks.images.webp import webp_size
from maskworks.types import Bytes, ImageDecoder

_LONGEST_REASON = 200  # letters; some libraries print what they have read
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@dataclass(frozen=True)
class InProcessDecoder:
    """Decodes where it is called, for as long as that takes: for files that one trusts.

    Attributes:
        limits: on files and images.
        ended: no decode is ended before its time.
    """

    limits: InputConfig = field(default_factory=InputConfig)
    ended: ClassVar[int] = 0

    def decode(self, data: bytes | bytearray, requester: str | None = None) -> tuple[Bytes, dict[str, Any]]:
        return decode_image(data, self.limits)

    def watched(self, unwanted: Callable[[], RequestError | None]) -> ImageDecoder:
        return self


def decode_image(
    data: bytes | bytearray, config: InputConfig, new_image: NewImage | None = None, *, alone: bool = False
) -> tuple[Bytes, dict[str, Any]]:
    """Reads an image file of any supported format; of several frames the first, of several pages that of --page.

    Whatever the file stores becomes 8-bit RGB: the bands of --bands, by the range of --range. Alpha is dropped.

    Args:
        data: the file.
        config: the limits, bands, page and range, and what to do about an orientation.
        new_image: gives the array to fill for a shape (H, W, 3); by default a new one.
        alone: no other thread of this process writes to standard error, where libraries tell of damage.

    Returns:
        The image, (H, W, 3) uint8 RGB, and facts about it for `meta`: width, height, format, exif; bands, pages, range
        and damaged where they say something.

    Raises:
        ImageTooLarge: beyond the limits of `config`; nothing was decoded.
        BadImage: not an image, broken, or without a defined way to 8-bit RGB.
        OutOfMemory: the decoded image does not fit.
    """
    check_size(len(data), config)
    if (size := webp_size(data)) is not None:
        check_pixels(size, config)
    try:
        pixels, facts = _read(data, config, new_image or _new_image, alone=alone)
    except MemoryError:
        raise OutOfMemory("image: does not fit into memory; make it smaller or lower --max_pixels") from None
    except UnidentifiedImageError:
        raise BadImage(f"image: {unread(data)}") from None
    except READER_ERRORS as error:
        reason = " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
        raise BadImage(f"image: cannot be read: {reason}; expected a complete image file") from None
    return pixels, {"width": pixels.shape[1], "height": pixels.shape[0], **facts}


def _read(
    data: bytes | bytearray, config: InputConfig, new_image: NewImage, *, alone: bool
) -> tuple[Bytes, dict[str, Any]]:
    if data[:4] not in _TIFF:
        return read_common(data, config, new_image, alone=alone)
    if kind_of(data) not in FORMATS:  # a raw photo that begins like a TIFF
        raise BadImage(f"image: {unread(data)}")
    from maskworks.images.tiff import read_tiff  # what few files need is loaded late

    return read_tiff(data, config, new_image, alone=alone)


def _new_image(shape: tuple[int, int, int]) -> Bytes:
    return np.empty(shape, np.uint8)
