"""Requests without end: most are good, some are bad, and of each it is known how it has to be answered."""

from __future__ import annotations

import io
import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from tests.support.requests import Request, giant

PHOTOS = Path(__file__).resolve().parents[1] / "dextr" / "demo" / "photos"
BAD_SHARE = 0.25


def requests(prefix: str, seed: int) -> Iterator[Request]:
    """An endless mixture; names begin with `prefix`."""
    rng = random.Random(seed)
    photos = [
        (Image.open(path).convert("RGB"), json.loads(path.with_suffix(".points").read_bytes()))
        for path in sorted(PHOTOS.glob("*.jpg"))
    ]
    for index in itertools.count():
        photo, prompt = rng.choice(photos)
        good = _good(f"{prefix}{index}", photo, prompt, rng)
        yield _spoilt(good, rng) if rng.random() < BAD_SHARE else good


def photo_request() -> tuple[bytes, object, tuple[int, int]]:
    """The first photo, the points of its first object, and its width and height."""
    path = min(PHOTOS.glob("*.jpg"))
    prompt = json.loads(path.with_suffix(".points").read_bytes())
    with Image.open(path) as photo:
        size = photo.size
    return path.read_bytes(), prompt.get("objects", [prompt])[0]["points"], size


def _good(name: str, photo: Image.Image, prompt: dict[str, object], rng: random.Random) -> Request:
    """The photo at another size and in another format, with labels of its own, so that no answer fits another one."""
    scale = rng.uniform(0.3, 1.0)
    size = (round(scale * photo.width), round(scale * photo.height))
    buffer = io.BytesIO()
    photo.resize(size).save(buffer, rng.choice(["JPEG", "PNG", "BMP"]))
    found = prompt.get("objects", [prompt])
    assert isinstance(found, list)
    labels = rng.sample(range(1, 256), len(found))
    factors = (size[0] / photo.width, size[1] / photo.height)
    objects = [
        {"points": (np.array(single["points"]) * factors).tolist(), "label": label}
        for single, label in zip(found, labels, strict=True)
    ]
    return Request(name, buffer.getvalue(), json.dumps({"objects": objects}).encode(), None, frozenset(labels), size)


def _spoilt(good: Request, rng: random.Random) -> Request:
    name, image, prompt = good.name, good.image, good.prompt
    return rng.choice(
        [
            Request(name, image[: len(image) // 2], prompt, "bad_image"),
            Request(name, rng.randbytes(1000), prompt, "bad_image"),
            Request(name, giant(), prompt, "image_too_large"),
            Request(name, image, b'{"points": [[1, 2], [3, 4]]}', "bad_prompt"),
            Request(name, image, b'{"points": [[1, 2], [3, null], [5, 6], [7, 8]]}', "bad_prompt"),
            Request(name, image, b'{"points": [{"x": 1, "y": 2, "label": 1}]}', "unsupported_prompt"),
        ]
    )
