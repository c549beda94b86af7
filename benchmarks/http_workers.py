"""The two servers that `http_throughput` compares: `python -m benchmarks.http_workers ours|peer PORT FLAGS`.

Both have the model that draws an ellipse after BENCHMARK_SECONDS, whatever the number of images in a batch: so it gains
from batches as a GPU does. The peer is what one writes first: a Starlette route that does all of it in a thread of the
pool, with a lock around the model.
"""

from __future__ import annotations

import base64
import io
import json
import os
import sys
import threading
import time
from collections.abc import Sequence

import numpy as np
from PIL import Image

from benchmarks.pipeline_overhead import FixedMask, ellipse
from maskworks.types import Instance, Request

SECONDS = float(os.environ.get("BENCHMARK_SECONDS", "0"))


class BatchMask(FixedMask):
    """Takes as long for a batch as for an image."""

    def predict(self, requests: Sequence[Request]) -> list[list[Instance]]:
        time.sleep(SECONDS)
        return [[Instance(ellipse(*request.size))] for request in requests]


def ours(port: str, flags: list[str]) -> int:
    """As any model's `*_serve`."""
    from maskworks.commands import serve
    from maskworks.commands.model import Model
    from maskworks.config import ModelConfig

    model = Model(
        name="nothing",
        title="Nothing",
        prompt_suffix=None,
        config=ModelConfig,
        load=lambda config: BatchMask(),
    )
    return serve.serve(model, ["--port", port, "--quiet", *flags])


def peer(port: str, flags: list[str]) -> int:
    """A route without a queue."""
    import uvicorn
    from skimage import measure
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import Response
    from starlette.routing import Route

    lock = threading.Lock()

    def answer(body: bytes) -> bytes:
        image = Image.open(io.BytesIO(body)).convert("RGB")
        with lock:
            time.sleep(SECONDS)
            mask = ellipse(*np.array(image).shape[:2])
        rings = measure.find_contours(mask.astype(np.float32), 0.5, fully_connected="high")
        buffer = io.BytesIO()
        Image.fromarray(mask).save(buffer, format="PNG")
        contours = [[(int(x), int(y)) for y, x in ring] for ring in rings]
        return json.dumps({"mask": base64.b64encode(buffer.getvalue()).decode(), "contours": contours}).encode()

    async def predict(request):
        return Response(await run_in_threadpool(answer, await request.body()), media_type="application/json")

    async def ready(request):
        return Response("ready")

    app = Starlette(routes=[Route("/predict", predict, methods=["POST"]), Route("/ready", ready)])
    uvicorn.run(app, port=int(port), log_level="warning")
    return 0


if __name__ == "__main__":
    sys.exit({"ours": ours, "peer": peer}[sys.argv[1]](sys.argv[2], sys.argv[3:]))
