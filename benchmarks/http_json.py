"""An image as JSON integers, as the first TensorMask server takes it, to an array; the peer is json.loads and np.array.

Times are for one image of a megapixel (1024 x 1024), on one core. Agreement is the share of equal values. Then the same
image as a JPEG file, against its JSON read by the peer and read by us; there the values differ by what JPEG loses.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from functools import partial

import cv2
import numpy as np
from PIL import Image

from benchmarks.harness import Row, alternate
from maskworks.config import InputConfig
from maskworks.images.reader import decode_image
from maskworks_tensormask.image_text import KEY, read_image, write_image

SIDE = 1024


def run() -> Iterator[Row]:
    image = picture()
    planes = image[:, :, ::-1].transpose(2, 0, 1).tolist()
    spaced = json.dumps({KEY: planes}).encode()
    for case, text in (("as json.dump writes it", spaced), ("without spaces", write_image(image))):
        peer, ours = alternate(partial(by_json, text), partial(read_image, text, InputConfig()))
        note = f"{len(text) / 1e6:.1f} MB"
        yield Row(case, peer, ours, f"{same(by_json(text), read_image(text, InputConfig()))}", note)
    file = jpeg(image)
    for case, read in (("JPEG file, peer reads JSON", by_json), ("JPEG file, we read JSON", by_ours)):
        peer, ours = alternate(partial(read, spaced), partial(decode_image, file, InputConfig()), rounds=9)
        yield Row(case, peer, ours, "", f"{len(file) / 1e6:.2f} MB, {len(spaced) / len(file):.0f} times fewer bytes")


def by_json(text: bytes) -> np.ndarray:
    """The peer: (height, width, 3) RGB."""
    return np.array(json.loads(text)[KEY])[::-1].transpose(1, 2, 0)


def by_ours(text: bytes) -> np.ndarray:
    return read_image(text, InputConfig())


def picture() -> np.ndarray:
    """(1024, 1024, 3) uint8 with the smoothness and the noise of a photo."""
    rng = np.random.default_rng(0)
    smooth = cv2.resize(rng.integers(0, 256, (32, 32, 3), np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + rng.normal(0, 3, smooth.shape), 0, 255).astype(np.uint8)


def jpeg(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def same(a: np.ndarray, b: np.ndarray) -> float:
    """The share of values that are equal."""
    return float((a == b).mean()) if a.shape == b.shape else 0.0
