"""Whole pickled models, the original's or ours: from the shells of the objects to weights and settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from dextr.architectures import resunet_name
from dextr.checkpoint_files.shell_unpickler import Shell
from dextr.errors import CheckpointError

_NAMES = {
    "dextr.architectures.denseunet.DenseUNet": "denseunet161",
    "torchvision.models.segmentation.deeplabv3.DeepLabV3": "deeplab3",
    "dextr.architectures.deeplab.DextrDeepLab3": "deeplab3",
    "dextr.architectures.mobileunet.MobileUNet": "mobileunet",
}
_RESUNET = "dextr.architectures.resunet.ResUNet"


def values(model: Shell, origin: str) -> dict[str, Any]:
    """The entries that `Checkpoint.from_values` takes.

    Raises:
        CheckpointError: it is not the shell of a `DextrModel` around one of its nets.
    """
    try:
        net = vars(model)["net"]
        state_dict = dict(tensors(net))
        if net.kind == _RESUNET:
            stages = net._modules["base_model"]._modules
            arch = resunet_name(tuple(len(stages[f"layer{stage}"]._modules) for stage in (1, 2, 3, 4)))
        else:
            arch = _NAMES[net.kind]
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{origin} holds a {model.kind}; expected a DextrModel around one of its nets") from error
    return {**vars(model), "arch": arch, "state_dict": state_dict}


def tensors(module: Shell, prefix: str = "") -> Iterator[tuple[str, torch.Tensor]]:
    """Names and values of parameters and buffers, in the order of a state dict."""
    attributes = vars(module)
    for name, value in (*attributes["_parameters"].items(), *attributes["_buffers"].items()):
        if value is not None:
            yield prefix + name, value
    for name, child in attributes["_modules"].items():
        if child is not None:
            yield from tensors(child, f"{prefix}{name}.")
