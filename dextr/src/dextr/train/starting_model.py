"""The model that a training starts from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from dextr.architectures import build
from dextr.architectures.blocks import PRETRAINED
from dextr.dextr_model import DextrModel
from dextr.errors import CheckpointError
from dextr.train.config import PUBLISHED_MODEL, TrainConfig
from dextr.train.job_log import Say
from maskworks_torch.checkpoints import READER_ERRORS


def starting_model(config: TrainConfig, models: Mapping[str, Path], say: Say) -> DextrModel:
    """The model of --load_model, or a new one on a pretrained backbone.

    Raises:
        CheckpointError: a file cannot be loaded or does not fit the architecture.
        DownloadError: the published model cannot be fetched.
    """
    if config.load_model is None:
        size = (config.target_size, config.target_size)
        return DextrModel(_new_net(config), size, config.padding, config.blob_sigma)
    if config.load_model == PUBLISHED_MODEL:
        model = DextrModel.pascalvoc_resunet101()
    else:
        model = DextrModel.from_file(models.get(config.load_model, Path(config.load_model)))
    arch = model.checkpoint().arch
    height, width = model.target_size_yx
    say(
        f"Model: {config.load_model}, a {arch} for crops of {width} x {height}, padding {model.padding}, "
        f"blob_sigma {model.blob_sigma:g}; these win over the flags"
    )
    return model


def _new_net(config: TrainConfig) -> torch.nn.Module:
    weights = None if config.backbone_weights == "none" else config.backbone_weights
    try:
        return build(config.arch, 1, weights)
    except READER_ERRORS as error:
        reason = f"{type(error).__name__}: {str(error)[:300]}"
        if weights != PRETRAINED:
            raise CheckpointError(f"--backbone_weights {weights} does not fit {config.arch} ({reason})") from error
        raise CheckpointError(
            f"torchvision's weights for {config.arch} cannot be had ({reason}); connect to the internet, put their "
            f"file into {torch.hub.get_dir()}/checkpoints, or name one with --backbone_weights FILE (none: random ones)"
        ) from error
