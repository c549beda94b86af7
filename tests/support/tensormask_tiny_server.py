"""A server with /model/ around a model without weights: each bright part is an object, a large one of class 1."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from functools import partial

import cv2
import numpy as np

from maskworks import options
from maskworks.commands import serve
from maskworks.commands.model import Model
from maskworks.commands.run import run_command
from maskworks.config import ModelConfig
from maskworks.predictor import Result
from maskworks.types import Instance, Request
from maskworks_tensormask.model_endpoint import ModelEndpoint, RawRequest


class Parts:
    """The connected parts of what is brighter in red than in blue."""

    segmenter = {"type": "parts"}  # noqa: RUF012 - nobody changes it

    def predict(self, requests: Sequence[Request]) -> list[Result]:
        time.sleep(float(os.environ.get("BRIGHT_SECONDS", "0")))
        return [self._find(request) for request in requests]

    def _find(self, request: Request) -> list[Instance]:
        assert isinstance(request, RawRequest) or request.image_meta["format"] != "JSON"
        bright = (request.image[:, :, 0] > request.image[:, :, 2]).astype(np.uint8)
        count, labels, stats, _ = cv2.connectedComponentsWithStats(bright)
        return [
            Instance(
                labels[y : y + h, x : x + w] == number, (int(x), int(y)), score=1 - number / 100, name="part",
                box=np.array([x, y, x + w, y + h], float), meta={"class": int(area > 50)},
            )
            for number in range(1, count) for x, y, w, h, area in [stats[number]]
        ]  # fmt: skip


MODEL = Model(
    name="parts",
    title="Parts",
    prompt_suffix=None,
    config=ModelConfig,
    load=lambda config: Parts(),
)

if __name__ == "__main__":
    parser = options.new_parser("parts_serve", "Parts.")
    options.add_model_options(parser, MODEL.config)
    options.add_http_options(parser)
    options.add_pipeline_options(parser)
    options.add_watch_options(parser)
    body = partial(serve.run_server, MODEL, "parts_serve", endpoints=[ModelEndpoint()])
    sys.exit(run_command(parser, body))
