"""The nets, and the one place that knows their names.

`resunet-A-B-C-D` is a ResUNet with these numbers of blocks per stage; `resunet50` and `resunet101` are two of those.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import nn
from torchvision.models.segmentation.deeplabv3 import DeepLabV3

from dextr.architectures.deeplab import dextr_deeplab3
from dextr.architectures.denseunet import DenseUNet, dextr_denseunet161
from dextr.architectures.mobileunet import MobileUNet, dextr_mobileunet
from dextr.architectures.resunet import BLOCKS_50, BLOCKS_101, ResUNet, dextr_resunet50, dextr_resunet101
from dextr.architectures.resunet import resunet as resunet_of_blocks  # `resunet` here is the module, as in the original

NAMES = ("resunet50", "resunet101", "denseunet161", "deeplab3", "mobileunet")

_FACTORIES: dict[str, Callable[[int, str | Path | None], nn.Module]] = {
    "resunet50": dextr_resunet50,
    "resunet101": dextr_resunet101,
    "denseunet161": dextr_denseunet161,
    "deeplab3": dextr_deeplab3,
    "mobileunet": dextr_mobileunet,
}
_RESUNET_NAMES: dict[tuple[int, ...], str] = {BLOCKS_50: "resunet50", BLOCKS_101: "resunet101"}


def build(name: str, num_classes: int = 1, backbone_weights: str | Path | None = None) -> nn.Module:
    """A net by its name.

    Args:
        name: one of `NAMES`, or `resunet-A-B-C-D`.
        num_classes: channels of the logits.
        backbone_weights: None for random weights, "imagenet" for published ones, or a file; see the factories.

    Raises:
        ValueError: there is no such net.
    """
    if name in _FACTORIES:
        return _FACTORIES[name](num_classes, backbone_weights)
    if backbone_weights is None and re.fullmatch(r"resunet(-[1-9]\d?){4}", name):
        return resunet_of_blocks(tuple(int(count) for count in name.split("-")[1:]), num_classes)
    raise ValueError(f"there is no architecture {name!r}; expected one of {', '.join(NAMES)}")


def name_of(net: nn.Module) -> str:
    """The name under which `build` makes a net like this one.

    Raises:
        ValueError: it is none of ours.
    """
    if isinstance(net, ResUNet):
        return resunet_name(net.blocks)
    for kind, name in ((DenseUNet, "denseunet161"), (DeepLabV3, "deeplab3"), (MobileUNet, "mobileunet")):
        if isinstance(net, kind):
            return name
    raise ValueError(f"a {type(net).__name__} is none of the architectures {', '.join(NAMES)}")


def resunet_name(blocks: tuple[int, ...]) -> str:
    """The name of the ResUNet with these numbers of blocks per stage."""
    return _RESUNET_NAMES.get(blocks, "resunet-" + "-".join(map(str, blocks)))


def num_classes_of(state_dict: Mapping[str, torch.Tensor]) -> int:
    """The number of channels of the logits of a net with these weights.

    Raises:
        LookupError: the classifier's weights are missing, or a single number.
    """
    name = "final_clf.weight" if "final_clf.weight" in state_dict else "classifier.4.weight"
    return state_dict[name].shape[0]
