"""Our own share of a request over Redis: all of its time but decoding the image, the model, and encoding the PNG.

One request is under way at a time, with a model that does nothing; a time is that from sending it to having its answer.
The peer is decoding the image and encoding the PNG alone, with the same functions, in a process that does nothing else.
The note has the difference, which is our share; wanted are 3 ms at 300 KiB. Agreement is the IoU of the two masks.
"""

from __future__ import annotations

import base64
import json
import statistics
import time
from collections.abc import Iterator

import numpy as np
import redis

from benchmarks.harness import Row
from benchmarks.pipeline_overhead import PROMPT, SIZES, decoded, ellipse, jpeg
from benchmarks.redis_throughput import server, worker
from maskworks.config import InputConfig
from maskworks.freed_memory import keep_freed_memory
from maskworks.images.reader import decode_image
from maskworks.wire.mask_png import encode_mask
from tests.support.iou import iou

ROUNDS = 60


def run() -> Iterator[Row]:
    keep_freed_memory()  # as the workers do
    for size, width, _ in SIZES:
        image = jpeg(size, width)
        text = json.dumps({"image": base64.b64encode(image).decode(), **json.loads(PROMPT)}).encode()
        for name, flags in (("channels", []), ("streams", ["--redis_mode", "stream"])):
            with server() as client, worker("ours", client, "ours", *flags):
                time.sleep(3)
                pairs = [(alone(image), answered(client, text, stream=bool(flags))) for _ in range(ROUNDS + 5)][5:]
            peer, ours = (statistics.median(seconds for seconds, _ in side) for side in zip(*pairs, strict=True))
            agreement = iou(pairs[0][0][1], pairs[0][1][1])
            note = f"own share {1000 * (ours - peer):.1f} ms"
            yield Row(f"{len(image) // 1024} KiB image, {name}", peer, ours, f"{agreement:.4f}", note)


def alone(image: bytes) -> tuple[float, np.ndarray]:
    """Seconds for decoding the image and encoding the mask, without the time that drawing it takes; and the mask."""
    start = time.perf_counter()
    pixels, _ = decode_image(image, InputConfig())
    middle = time.perf_counter()
    mask = ellipse(*pixels.shape[:2])
    drawn = time.perf_counter()
    encode_mask(mask)
    return time.perf_counter() - drawn + middle - start, mask


def answered(client: redis.Redis, text: bytes, *, stream: bool) -> tuple[float, np.ndarray]:
    """Seconds from sending a request to having its answer, and the mask in it."""
    if stream:
        last = client.xinfo_stream("ours.out")["last-generated-id"] if client.exists("ours.out") else "0"
        start = time.perf_counter()
        client.xadd("ours.in", {"data": text})
        reply = client.xread({"ours.out": last}, block=5000)[0][1][0][1][b"data"]
        seconds = time.perf_counter() - start
    else:
        subscription = client.pubsub(ignore_subscribe_messages=True)
        subscription.subscribe("ours.out")
        subscription.get_message(timeout=1)
        start = time.perf_counter()
        client.publish("ours.in", text)
        reply = subscription.get_message(timeout=5)["data"]
        seconds = time.perf_counter() - start
        subscription.close()
    return seconds, decoded(base64.b64decode(json.loads(reply)["mask"]))
