"""A model that works in chunks: as many as the label of the first prompt says. `python chunks.py FLAGS` is a worker.

A label of 66 raises in the second chunk, of 111 has no end. CHUNK_SECONDS is how long a chunk takes.
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from collections.abc import Callable, Sequence

from maskworks.commands import serve
from maskworks.commands.model import Model
from maskworks.commands.poll import predict_poll
from maskworks.commands.redis import predict_redis
from maskworks.config import ModelConfig
from maskworks.predictor import Result, Work
from maskworks.types import Instance, Request

BROKEN, ENDLESS = 66, 111


class Chunks:
    """Finds the pixels with red of at least 128, one time for each prompt.

    Args:
        work: is called in each chunk.

    Attributes:
        begun: the names of the requests that began together.
        steps: the name of the request of each chunk.
        closed: the names of requests that were given up.
    """

    def __init__(self, work: Callable[[str], None] = lambda name: None) -> None:
        self.segmenter = {"type": "chunks"}
        self.begun: list[list[str]] = []
        self.steps: list[str] = []
        self.closed: list[str] = []
        self._work = work

    def predict(self, requests: Sequence[Request]) -> list[Result]:
        raise AssertionError("this model works in chunks")

    def start(self, requests: Sequence[Request]) -> list[Work]:
        self.begun.append([request.id for request in requests])
        return [self._chunks(request) for request in requests]

    def _chunks(self, request: Request) -> Work:
        label = request.prompts[0].label
        if label == ENDLESS:
            print("begun:", request.id, file=sys.stderr, flush=True)
        try:
            for number in itertools.count() if label in (BROKEN, ENDLESS) else range(label):
                if label == BROKEN and number == 1:
                    raise ValueError("the model does not like 66")
                self.steps.append(request.id)
                self._work(request.id)
                yield
        except GeneratorExit:
            self.closed.append(request.id)
            print("given up:", request.id, file=sys.stderr, flush=True)
            raise
        return [Instance(request.image[:, :, 0] >= 128, label=prompt.label) for prompt in request.prompts]


def _model() -> Chunks:
    seconds = float(os.environ.get("CHUNK_SECONDS", "0.01"))
    return Chunks(lambda name: time.sleep(seconds))


MODEL = Model(name="chunks", title="Chunks", prompt_suffix=".points", config=ModelConfig, load=lambda config: _model())

if __name__ == "__main__":
    commands = {"poll": predict_poll, "redis": predict_redis, "http": serve.serve}
    sys.exit(commands[os.environ.get("BRIGHT_COMMAND", "poll")](MODEL))
