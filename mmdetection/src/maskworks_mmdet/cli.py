"""Entry points of the MMDetection commands."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import maskworks.commands.early_interrupt  # noqa: F401 - before all that takes time
from maskworks.commands import poll, redis, serve
from maskworks.commands import redis_clients as clients
from maskworks.commands.model import Model
from maskworks_mmdet.options import MmdetConfig, MmdetFolderConfig

if TYPE_CHECKING:
    from maskworks.formats import FileFormat, MessageFormat
    from maskworks.predictor import Predictor


def load(config: MmdetConfig) -> Predictor:
    """Loads the model; only now torch and MMDetection are imported."""
    from maskworks_mmdet.installation import import_mmdet

    import_mmdet()
    from maskworks_mmdet.adapter import MmdetPredictor

    return MmdetPredictor.load(config)


def file_format(config: MmdetFolderConfig, overlay: bool) -> FileFormat:
    """Images in; OPEX or CSV out, the mask only if asked for."""
    from maskworks_mmdet.results import DetectionFiles

    return DetectionFiles(config, overlay)


def message_format(config: MmdetConfig) -> MessageFormat:
    """Image files in, OPEX out."""
    from maskworks_mmdet.results import DetectionMessages

    return DetectionMessages(config)


MODEL = Model(
    name="mmdet",
    title="MMDetection",
    prompt_suffix=None,
    config=MmdetConfig,
    load=load,
    message_format=message_format,
)
FOLDER_MODEL = replace(
    MODEL,
    config=MmdetFolderConfig,
    folder_command="mmdet_predict",
    file_format=file_format,
)
SENDER = clients.Sender(name="mmdet", add_prompt=lambda parser: None, read_prompt=lambda args: {})


def predict() -> None:
    """`mmdet_predict`."""
    sys.exit(poll.predict_poll(FOLDER_MODEL))


def predict_redis() -> None:
    """`mmdet_predict_redis`."""
    sys.exit(redis.predict_redis(MODEL))


def serve_http() -> None:
    """`mmdet_serve`."""
    sys.exit(serve.serve(MODEL))


def test_redis_send() -> None:
    """`mmdet_test_redis_send`."""
    sys.exit(clients.send(SENDER))


def test_redis_recv() -> None:
    """`mmdet_test_redis_recv`."""
    sys.exit(clients.receive("mmdet"))


def train() -> None:
    """`mmdet_train`."""
    from maskworks_mmdet import train_command

    sys.exit(train_command.main())


def config() -> None:
    """`mmdet_config`."""
    from maskworks_mmdet import config_command

    sys.exit(config_command.main())


def sample_data() -> None:
    """`mmdet_sample_data`."""
    from maskworks_mmdet import sample_data_command

    sys.exit(sample_data_command.main())
