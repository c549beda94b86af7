"""A model that needs no weights: bright pixels are the object. `python bright.py FLAGS` is a worker like any other.

Prompts steer it, so that tests can make it fail: a label of 66 raises, of 77 reports that memory ran out whenever it is
not alone in its batch, of 88 hangs, of 99 ends the process. BRIGHT_SECONDS is how long it works on an image, and
BRIGHT_STEP_SECONDS how long its main loop may stand still, if it is not as long as usual.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from functools import partial

from maskworks import liveness
from maskworks.commands import serve
from maskworks.commands.model import Model
from maskworks.commands.poll import predict_poll
from maskworks.commands.redis import predict_redis
from maskworks.config import ModelConfig
from maskworks.errors import OutOfMemory
from maskworks.predictor import Result
from maskworks.types import NAMELESS, Instance, Request


class Bright:
    """Finds one instance per prompt: the pixels with red of at least 128."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.segmenter = {"type": "bright"}
        self.seconds = seconds
        self.batches: list[list[str]] = []

    def predict(self, requests: Sequence[Request]) -> list[Result]:
        self.batches.append([request.id for request in requests])
        time.sleep(self.seconds * len(requests))
        labels = [prompt.label for request in requests for prompt in request.prompts]
        if 66 in labels:
            raise ValueError("the model does not like 66")
        if 88 in labels:
            time.sleep(3600)
        if 99 in labels:
            os._exit(137)
        if 77 in labels and len(requests) > 1:
            raise OutOfMemory("too many")
        return [
            [
                Instance(
                    request.image[:, :, 0] >= 128, label=prompt.label, name=prompt.name or NAMELESS, meta=prompt.facts
                )
                for prompt in request.prompts
            ]
            for request in requests
        ]


MODEL = Model(
    name="bright",
    title="Bright",
    prompt_suffix=".points",
    config=ModelConfig,
    load=lambda config: Bright(float(os.environ.get("BRIGHT_SECONDS", "0"))),
)

if __name__ == "__main__":
    if "BRIGHT_STEP_SECONDS" in os.environ:
        liveness.Liveness = partial(liveness.Liveness, step_seconds=float(os.environ["BRIGHT_STEP_SECONDS"]))
    commands = {"poll": predict_poll, "redis": predict_redis, "http": serve.serve}
    sys.exit(commands[os.environ.get("BRIGHT_COMMAND", "poll")](MODEL))
