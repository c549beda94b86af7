"""The two workers that `redis_throughput` compares: `python -m benchmarks.redis_workers ours|peer FLAGS`.

Both have a model that does nothing but draw an ellipse, after BENCHMARK_SECONDS of sleep if that is set. The peer is
redis-docker-harness with a handler that does what the commands did that were built on it: decode the message and the
image, trace the mask with scikit-image, answer.
"""

from __future__ import annotations

import base64
import io
import json
import os
import sys
import time
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.pipeline_overhead import FixedMask, ellipse

SECONDS = float(os.environ.get("BENCHMARK_SECONDS", "0"))


def peer(flags: list[str]) -> None:
    """Works until it is killed; the harness has no other end."""
    from rdh import Container, configure_redis, create_parser, run_harness

    run_harness(configure_redis(create_parser("peer", prefix="redis_").parse_args(flags), config=Container()), answer)


def answer(message: Any) -> None:
    """One request of the peer."""
    from skimage import measure

    request = json.loads(message.message["data"].decode())
    image = Image.open(io.BytesIO(base64.b64decode(request["image"])))
    mask = ellipse(*np.array(image).shape[:2])
    time.sleep(SECONDS)
    rings = measure.find_contours(mask.astype(np.float32), 0.5, fully_connected="high")
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, format="PNG")
    reply = {
        "contours": [[(int(x), int(y)) for y, x in ring] for ring in rings],
        "mask": base64.encodebytes(buffer.getvalue()).decode("ascii"),
        "meta": {"prompt": {"points": request["points"]}},
    }
    message.params.redis.publish(message.params.channel_out, json.dumps(reply))


def ours(flags: list[str]) -> int:
    """As any model's `*_predict_redis`."""
    from maskworks.commands.model import Model
    from maskworks.commands.redis import predict_redis
    from maskworks.config import ModelConfig

    model = Model(
        name="nothing",
        title="Nothing",
        prompt_suffix=None,
        config=ModelConfig,
        load=lambda config: FixedMask(SECONDS),
    )
    return predict_redis(model, [*flags, "--quiet"])


if __name__ == "__main__":
    sys.exit({"ours": ours, "peer": peer}[sys.argv[1]](sys.argv[2:]))
