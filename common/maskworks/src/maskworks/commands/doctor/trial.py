"""A prediction whose result is known."""

from __future__ import annotations

import time

import numpy as np

from maskworks.commands.doctor.finding import Finding
from maskworks.geometry import compose
from maskworks.predictor import Predictor
from maskworks.types import Bytes, Request


def trial(
    topic: str, request: Request, here: Predictor, plain: Predictor, least: float, drawn: Bytes | None = None
) -> Finding:
    """Compares what a model finds on the device and in the precision that it is to work with.

    Args:
        topic: of the finding.
        request: what it is asked.
        here: the model as it is to work.
        plain: the same model in fp32 on the CPU, by its plain code.
        least: IoU of the two answers that is good enough.
        drawn: (H, W) mask that is right; its IoU is to be 0.9 at least.
    """
    _answer(here, request)  # the first prediction warms up
    start = time.perf_counter()
    mask = _answer(here, request)
    seconds = time.perf_counter() - start
    as_plain = _iou(mask, _answer(plain, request))
    good, text = as_plain >= least, f"{1000 * seconds:.0f} ms, IoU {as_plain:.3f} with plain fp32 on the CPU"
    if drawn is not None:
        as_drawn = _iou(mask, drawn)
        good, text = good and as_drawn >= 0.9, f"{text}, {as_drawn:.3f} with what is there"
    if not good:
        return Finding(topic, "problem", f"{text}: wrong; try --device cpu or --precision fp32, or reinstall torch")
    return Finding(topic, "ok", text)


def _answer(predictor: Predictor, request: Request) -> Bytes:
    """(H, W) uint8 of palette indices."""
    (found,) = predictor.predict([request])
    if isinstance(found, Exception):
        raise found
    return compose(found, request.size)


def _iou(a: Bytes, b: Bytes) -> float:
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0
