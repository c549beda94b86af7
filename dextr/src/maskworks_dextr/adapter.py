"""DEXTR behind the predictor protocol: images and extreme points in, instances out."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dextr.dextr_model import DextrModel
from dextr.errors import CheckpointError as DextrCheckpointError
from dextr.errors import DextrError, UnsafeCheckpointError
from dextr.inference.paste import Patch
from maskworks.errors import CheckpointError, RequestError, UnsafeCheckpoint, UnsupportedPrompt
from maskworks.geometry import extreme_values
from maskworks.memory_errors import memory_errors
from maskworks.predictor import Result, Work
from maskworks.types import NAMELESS, Floats, Instance, Instances, Prompt, Request
from maskworks_dextr.options import DEMO_MODEL, DextrConfig
from maskworks_torch.device import select_both

log = logging.getLogger("maskworks.dextr")

_USABLE = "extreme points [[x, y], ...] or a box"


class DextrPredictor:
    """A DEXTR model, ready to predict.

    Args:
        model: made ready with `DextrModel.prepare`.
        segmenter: value of `meta.segmenter`.
        threshold: least probability of a pixel of the object, in (0, 1].
        batch_size: most crops in one run of the network.
    """

    def __init__(self, model: DextrModel, segmenter: Mapping[str, Any], threshold: float, batch_size: int) -> None:
        self._model, self.segmenter, self._batch_size = model, segmenter, batch_size
        # Probabilities come in steps of 1/255.
        self._least = math.ceil(round(255 * threshold, 6))

    @classmethod
    def load(cls, config: DextrConfig) -> DextrPredictor:
        """Loads the model that the flags name onto the device that they name.

        Raises:
            CheckpointError: it cannot be loaded or downloaded.
            UnsafeCheckpoint: loading would run code from it, and --unsafe_load is not given.
            DeviceError: the device or the precision is not usable.
        """
        device, precision = select_both(config.device, config.precision)
        model, segmenter = _load_model(config)
        log.info("%s on %s, %s", segmenter.get("model_file") or segmenter["model_type"], device, precision)
        ready = model.prepare(device, precision, compile=config.compile)
        return cls(ready, segmenter, config.threshold, 1 if device == "cpu" else 8)

    def predict(self, requests: Sequence[Request]) -> list[Result]:
        """One instance per prompt. All objects of all images go through the network together."""
        points = [_all_extreme_points(request) for request in requests]
        good = [(request, p) for request, p in zip(requests, points, strict=True) if not isinstance(p, RequestError)]
        images = [request.image for request, own in good for _ in own]
        patches = self._patches(images, [p[:, ::-1] for _, own in good for p in own])
        return [
            p if isinstance(p, RequestError) else Instances(self._instances(r, p, patches), ignored=r.options)
            for r, p in zip(requests, points, strict=True)
        ]

    def start(self, requests: Sequence[Request]) -> list[Work]:
        """The same in chunks: requests for few objects at once, of the others a run of the network with each step."""
        few = [request for request in requests if len(request.prompts) <= self._batch_size]
        found = iter(self.predict(few) if few else ())
        return [
            _ready(next(found)) if len(request.prompts) <= self._batch_size else self._work(request)
            for request in requests
        ]

    def _work(self, request: Request) -> Work:
        points = _all_extreme_points(request)
        if isinstance(points, RequestError):
            raise points
        patches = self._patches([request.image] * len(points), [own[:, ::-1] for own in points])
        instances: list[Instance] = []
        for index, (prompt, xy) in enumerate(zip(request.prompts, points, strict=True)):
            if index % self._batch_size == 0:
                yield
            instances.append(self._instance(prompt, xy, next(patches)).packed())
        return Instances(instances, ignored=request.options)

    def _patches(self, images: list[NDArray[np.uint8]], points_yx: list[Floats]) -> Iterator[Patch]:
        """The masks of all objects, made in batches when asked for: each may be as large as its image."""
        for first in range(0, len(images), self._batch_size):
            some = slice(first, first + self._batch_size)
            with memory_errors():
                patches = self._model.predict_patches(images[some], points_yx[some], batch_size=self._batch_size)
            yield from patches

    def _instances(self, request: Request, points: Sequence[Floats], patches: Iterator[Patch]) -> Iterator[Instance]:
        for prompt, xy in zip(request.prompts, points, strict=True):
            yield self._instance(prompt, xy, next(patches))

    def _instance(self, prompt: Prompt, points_xy: Floats, patch: Patch) -> Instance:
        mask = (patch.probability >= self._least).view(np.uint8)
        offset = (patch.offset[1], patch.offset[0])
        meta: dict[str, Any] = {"residual": _residual(mask, offset, points_xy)}
        if prompt.extreme_points is None:
            meta["points"] = "middle of each side of the box"
        return Instance(mask, offset, prompt.label, prompt.name or NAMELESS, meta=meta | prompt.facts)


def _ready(result: Result) -> Work:
    """Work that is done."""
    yield from ()
    if isinstance(result, RequestError):
        raise result
    return result


def _load_model(config: DextrConfig) -> tuple[DextrModel, dict[str, Any]]:
    try:
        if config.model is None:
            return DextrModel.pascalvoc_resunet101(), {"type": "dextr", "model_type": "pascalvoc_resunet101"}
        if config.model == "demo":
            return DextrModel.from_file(DEMO_MODEL), {"type": "dextr", "model_type": "demo"}
        model = DextrModel.from_file(config.model, unsafe=config.unsafe_load)
        return model, {"type": "dextr", "model_file": Path(config.model).name}
    except UnsafeCheckpointError as error:
        raise UnsafeCheckpoint(
            f"--model {config.model}: refused, loading it would run {error.offender}; nothing was run. If you trust "
            "where it comes from, --unsafe_load loads it all the same"
        ) from None
    except DextrCheckpointError as error:
        raise CheckpointError(f"--model: {error}") from None
    except DextrError as error:
        raise CheckpointError(str(error)) from None


def _all_extreme_points(request: Request) -> list[Floats] | RequestError:
    """For each prompt its extreme points, (K, 2) float64 of [x, y], or why the request cannot be used."""
    try:
        return [_extreme_points(prompt) for prompt in request.prompts]
    except UnsupportedPrompt as error:
        return error


def _extreme_points(prompt: Prompt) -> Floats:
    here = f"{prompt.path}." if prompt.path else ""
    if prompt.mask_input is not None:
        raise UnsupportedPrompt(f"{here}mask_input", "logits, which DEXTR cannot use", _USABLE)
    if prompt.extreme_points is not None:
        return prompt.extreme_points
    if prompt.box is None or prompt.clicks is not None:
        raise UnsupportedPrompt(f"{here}points", "clicks, which DEXTR cannot use", _USABLE)
    x0, y0, x1, y1 = prompt.box
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return np.array([[x, y0], [x0, y], [x1, y], [x, y1]])


def _residual(mask: NDArray[np.uint8], offset: tuple[int, int], points_xy: Floats) -> float | None:
    """Largest distance in pixels, over the four sides, between the given extreme points and the mask's own."""
    found = extreme_values(mask, offset)
    if found is None:
        return None
    given = np.concatenate([points_xy.min(axis=0), points_xy.max(axis=0)])
    return round(float(np.abs(found - given).max()), 2)
