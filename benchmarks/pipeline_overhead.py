"""What the machinery around a model costs.

First with a model that does nothing but return a mask: ours is `Loop`, `Pipeline` and `MemoryTransport` over JPEG files
with prompts, the peer a bare loop that decodes with Pillow, draws the same mask into a PNG file and writes the polygons
as JSON. Times are per image, agreement is the IoU of the two masks. The bare loop has one thread, ours uses several.

Then with a model that takes 100 ms, over files in a folder; the peer is the time that the model alone takes. Wanted is
1.1 times that at most, where the processor has the time to decode and encode beside the model.
"""

from __future__ import annotations

import base64
import io
import json
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
from PIL import Image

from benchmarks.harness import Row, alternate, alternate_timed
from maskworks.config import FolderConfig, InputConfig, LoopConfig
from maskworks.formats import MaskFiles
from maskworks.loop import Loop
from maskworks.pipeline import Pipeline
from maskworks.transports import Transport
from maskworks.transports.folder.transport import FolderTransport
from maskworks.transports.memory import MemoryTransport
from maskworks.types import Instance, Job, Prediction, Request
from maskworks.wire.mask_png import palette
from maskworks.wire.reply import encode_reply
from tests.support.iou import iou

PROMPT = b'{"points": [[50, 10], [10, 60], [90, 60], [50, 95]]}'
# Bytes of a JPEG file, the image's width, and how many of them are run.
SIZES = ((10 * 1024, 160, 200), (300 * 1024, 1000, 30), (3 * 1024 * 1024, 3200, 6))
MODEL_S = 0.1


class FixedMask:
    """A model that finds an ellipse in the middle of every image, after a pause."""

    segmenter: ClassVar = {"type": "nothing"}

    def __init__(self, pause_s: float = 0.0) -> None:
        self.pause_s = pause_s

    def predict(self, requests: Sequence[Request]) -> list[list[Instance]]:
        if self.pause_s:
            time.sleep(self.pause_s * len(requests))
        return [[Instance(ellipse(*request.size))] for request in requests]


def run() -> Iterator[Row]:
    for size, width, count in SIZES:
        data = jpeg(size, width)
        peer, ours = alternate(partial(bare_loop, data, count), partial(whole_loop, data, count))
        masks = [decoded(base64.b64decode(json.loads(reply)["mask"])) for reply in (bare_reply(data), our_reply(data))]
        note = f"{width}x{3 * width // 4} pixels, {count} images a round"
        yield Row(f"{len(data) // 1024} KiB JPEG", peer / count, ours / count, f"{iou(*masks):.4f}", note)
    for size, width, count in ((300 * 1024, 1000, 30), (3 * 1024 * 1024, 3200, 30)):
        data = jpeg(size, width)
        peer, ours = alternate_timed(partial(float, MODEL_S * count), partial(folder_run, data, count), rounds=3)
        note = f"{count} files in a folder, {ours / peer:.3f} times the model alone"
        yield Row(f"{len(data) // 1024} KiB JPEG, model of 100 ms", peer / count, ours / count, "", note)


def jpeg(size: int, width: int) -> bytes:
    """A JPEG file of about `size` bytes and `width` x 3/4 `width` pixels: as much noise as makes it that large."""
    rng = np.random.default_rng(0)
    smooth = cv2.resize(rng.integers(0, 256, (6, 8, 3), np.uint8), (width, 3 * width // 4))
    noise = rng.standard_normal(smooth.shape, np.float32)
    low, high = 0.0, 100.0
    for _ in range(8):
        strength = (low + high) / 2
        pixels = np.clip(smooth + strength * noise, 0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
        low, high = (strength, high) if buffer.tell() < size else (low, strength)
    return buffer.getvalue()


def ellipse(height: int, width: int) -> np.ndarray:
    """(height, width) uint8 of 0 and 1."""
    mask = np.zeros((height, width), np.uint8)
    return cv2.ellipse(mask, (width // 2, height // 2), (width // 3, height // 4), 30, 0, 360, 1, -1)


def decoded(png: bytes) -> np.ndarray:
    """The pixels of an image file."""
    return np.asarray(Image.open(io.BytesIO(png)))


def whole_loop(data: bytes, count: int) -> None:
    """Ours, with replies as they go to Redis."""
    transport = MemoryTransport(Job(str(index), data, PROMPT, format=Replies()) for index in range(count))
    assert _run(transport, FixedMask()) == count


def our_reply(data: bytes) -> bytes:
    """Ours for one image."""
    transport = MemoryTransport([Job("0", data, PROMPT, format=Replies())])
    _run(transport, FixedMask())
    return transport.outcomes[0][1].parts["reply"]


def bare_loop(data: bytes, count: int) -> None:
    """The peer."""
    for _ in range(count):
        bare_reply(data)


def bare_reply(data: bytes) -> bytes:
    """The peer for one image: everything written down in one function, without any check."""
    prompt = json.loads(PROMPT)
    pixels = np.array(Image.open(io.BytesIO(data)).convert("RGB"))
    mask = ellipse(*pixels.shape[:2])
    picture = Image.fromarray(mask)
    picture.putpalette(palette())
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    rings, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    reply = {
        "mask": base64.b64encode(buffer.getvalue()).decode(),
        "contours": [ring[:, 0].tolist() for ring in rings],
        "meta": {"prompt": prompt},
    }
    return json.dumps(reply).encode()


def folder_run(data: bytes, count: int) -> float:
    """Ours: the seconds of a one-shot run over a folder, from the first look at it to the last file moved."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        for index in range(count):
            (folder / "in" / f"{index}.jpg").write_bytes(data)
            (folder / "in" / f"{index}.points").write_bytes(PROMPT)
        start = time.perf_counter()
        config = FolderConfig(prediction_in=folder / "in", prediction_out=folder / "out")
        transport = FolderTransport(config, InputConfig(), ".points", MaskFiles())
        assert _run(transport, FixedMask(MODEL_S)) == count
        seconds = time.perf_counter() - start
        assert len(list((folder / "out").glob("*.*"))) == 4 * count
    return seconds


class Replies(MaskFiles):
    """Files in, replies as on Redis out."""

    def write(self, prediction: Prediction) -> dict[str, bytes]:
        return {"reply": encode_reply(prediction)}


def _run(transport: Transport, model: FixedMask) -> int:
    pipeline = Pipeline(predictor=model)
    return Loop(transport, pipeline, LoopConfig(), threading.Event()).run().done
