"""Entry points of the DEXTR commands."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import maskworks.commands.early_interrupt  # noqa: F401 - before all that takes time
from maskworks.commands import poll, redis, serve
from maskworks.commands import redis_clients as clients
from maskworks.commands.model import Model
from maskworks_dextr.options import DEMO_MODEL, DextrConfig
from maskworks_dextr.prompt_flags import SENDER

if TYPE_CHECKING:
    from maskworks.predictor import Predictor


def load(config: DextrConfig) -> Predictor:
    """Loads the model; only now torch is imported."""
    from maskworks_dextr.adapter import DextrPredictor

    return DextrPredictor.load(config)


MODEL = Model(
    name="dextr",
    title="DEXTR (Deep Extreme Cut)",
    prompt_suffix=".points",
    config=DextrConfig,
    load=load,
)


def predict_poll() -> None:
    """`dextr_predict_poll`."""
    sys.exit(poll.predict_poll(MODEL))


def predict_redis() -> None:
    """`dextr_predict_redis`."""
    sys.exit(redis.predict_redis(MODEL))


def serve_http() -> None:
    """`dextr_serve`."""
    sys.exit(serve.serve(MODEL))


def train() -> None:
    """`dextr_train`."""
    from dextr.train.__main__ import main

    sys.exit(main(prog="dextr_train", models={"demo": DEMO_MODEL}))


def test_redis_send() -> None:
    """`dextr_test_redis_send`."""
    sys.exit(clients.send(SENDER))


def test_redis_recv() -> None:
    """`dextr_test_redis_recv`."""
    sys.exit(clients.receive("dextr"))
