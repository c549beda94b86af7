"""Entry points of the TensorMask commands."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import maskworks.commands.early_interrupt  # noqa: F401 - before all that takes time
from maskworks.commands import poll, redis
from maskworks.commands import redis_clients as clients
from maskworks.commands.model import Model, image_messages
from maskworks_tensormask.options import TensorMaskConfig

if TYPE_CHECKING:
    from maskworks.predictor import Predictor


def load(config: TensorMaskConfig) -> Predictor:
    """Loads the model; only now torch is imported."""
    from maskworks_tensormask.adapter import TensorMaskPredictor

    return TensorMaskPredictor.load(config)


MODEL = Model(
    name="tensormask",
    title="TensorMask",
    prompt_suffix=None,
    config=TensorMaskConfig,
    load=load,
    message_format=image_messages,
)
SENDER = clients.Sender(name="tensormask", add_prompt=lambda parser: None, read_prompt=lambda args: {})


def predict_poll() -> None:
    """`tensormask_predict_poll`."""
    sys.exit(poll.predict_poll(MODEL))


def predict_redis() -> None:
    """`tensormask_predict_redis`."""
    sys.exit(redis.predict_redis(MODEL))


def test_redis_send() -> None:
    """`tensormask_test_redis_send`."""
    sys.exit(clients.send(SENDER))


def test_redis_recv() -> None:
    """`tensormask_test_redis_recv`."""
    sys.exit(clients.receive("tensormask"))
