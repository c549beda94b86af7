"""A burst: 60 requests of 1.3 MB at once, for a model that takes 0.2 s; the peer is redis-docker-harness.

Who answers is what is compared: the column agreement has the number of requests answered with the right mask, peer /
ours. Streams, which the peer does not have, stand beside its channels. Times are those from the first request to
the last answer that came; the peer loses its connection while it works, because the server does not wait for readers
that are slow.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack

import redis

from benchmarks.harness import Row
from benchmarks.pipeline_overhead import PROMPT, decoded, ellipse, jpeg
from benchmarks.redis_throughput import server, worker

REQUESTS = 60
SECONDS = "0.2"
PATIENCE = 3.0  # seconds without an answer after which nothing more is expected


def run() -> Iterator[Row]:
    text = base64.b64encode(jpeg(975_000, 1600)).decode()
    texts = [json.dumps({"image": text, "id": str(i), **json.loads(PROMPT)}).encode() for i in range(REQUESTS)]
    os.environ["BENCHMARK_SECONDS"] = SECONDS
    with ExitStack() as stack:
        client = stack.enter_context(server())
        stack.enter_context(worker("peer", client, "peer"))
        stack.enter_context(worker("ours", client, "ours"))
        stack.enter_context(worker("ours", client, "stream", "--redis_mode", "stream"))
        time.sleep(4)
        peer = by_channels(client, "peer", texts)
        for name, found in (
            ("channels", by_channels(client, "ours", texts)),
            ("streams", by_streams(client, "stream", texts)),
        ):
            yield Row(f"60 at once, {name}", peer[1], found[1], f"{peer[0]} / {found[0]} of {REQUESTS} answered")


def by_channels(client: redis.Redis, name: str, texts: list[bytes]) -> tuple[int, float]:
    """How many right answers came, and the seconds until the last of them."""
    subscription = client.pubsub(ignore_subscribe_messages=True)
    subscription.subscribe(f"{name}.out")
    subscription.get_message(timeout=1)
    start = last = time.perf_counter()
    for text in texts:
        client.publish(f"{name}.in", text)
    answers = 0
    while answers < len(texts):
        message = subscription.get_message(timeout=PATIENCE)
        if message is None:
            break
        answers += is_right(message["data"])
        last = time.perf_counter()
    subscription.close()
    return answers, last - start


def by_streams(client: redis.Redis, name: str, texts: list[bytes]) -> tuple[int, float]:
    """The same on streams."""
    start = last = time.perf_counter()
    for text in texts:
        client.xadd(f"{name}.in", {"data": text})
    answers: set[str] = set()
    after: str | bytes = "0"
    while len(answers) < len(texts):
        found = client.xread({f"{name}.out": after}, block=int(1000 * PATIENCE))
        if not found:
            break
        entries = found[0][1]
        after = entries[-1][0]
        answers |= {json.loads(fields[b"data"])["id"] for _, fields in entries if is_right(fields[b"data"])}
        last = time.perf_counter()
    return len(answers), last - start


def is_right(reply: bytes) -> bool:
    """Whether it is the mask that the model draws, and not an error."""
    mask = json.loads(reply).get("mask")
    if mask is None:
        return False
    drawn = decoded(base64.b64decode(mask))
    return bool(((drawn != 0) == (ellipse(*drawn.shape) != 0)).all())
