"""Entry points of the Segment Anything commands."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import maskworks.commands.early_interrupt  # noqa: F401 - before all that takes time
from maskworks.commands import poll, redis, serve
from maskworks.commands import redis_clients as clients
from maskworks.commands.model import Model, image_messages
from maskworks_sam import embed
from maskworks_sam.options import SamConfig
from maskworks_sam.prompt_flags import SENDER

if TYPE_CHECKING:
    from maskworks.predictor import Predictor


def load(config: SamConfig) -> Predictor:
    """Loads the model; only now torch is imported."""
    from maskworks_sam.adapter import SamAdapter

    return SamAdapter.load(config)


MODEL = Model(
    name="sam",
    title="Segment Anything",
    prompt_suffix=".prompt",
    config=SamConfig,
    load=load,
    prompts=("clicks", "box"),
)
AUTOMATIC = replace(MODEL, prompt_suffix=None, message_format=image_messages)


def _model() -> Model:
    """With prompts or without: known before the flags are parsed."""
    return AUTOMATIC if "--automatic" in sys.argv[1:] else MODEL


def predict_poll() -> None:
    """`sam_predict_poll`."""
    sys.exit(poll.predict_poll(_model()))


def predict_redis() -> None:
    """`sam_predict_redis`."""
    sys.exit(redis.predict_redis(_model()))


def serve_http() -> None:
    """`sam_serve`."""
    sys.exit(serve.serve(_model()))


def embed_images() -> None:
    """`sam_embed`."""
    sys.exit(embed.embed())


def test_redis_send() -> None:
    """`sam_test_redis_send`."""
    sys.exit(clients.send(SENDER))


def test_redis_recv() -> None:
    """`sam_test_redis_recv`."""
    sys.exit(clients.receive("sam"))
