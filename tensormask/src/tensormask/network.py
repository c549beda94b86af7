"""The whole network."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from tensormask.anchors import AnchorGrid
from tensormask.bipyramid import MaskPredictor
from tensormask.config import Config
from tensormask.convolution import Conv
from tensormask.errors import ConfigError
from tensormask.fpn import FPN
from tensormask.head import Head
from tensormask.norms import CLASSES

_MOST_WEIGHTS = 2**30  # the network around ResNet-152 has 71 million


@dataclass(frozen=True, eq=False)
class Output:
    """The network's output for a batch.

    Attributes:
        logits: (N, anchors, K) per level; anchors are in the order of the grid.
        deltas: (N, anchors, 4) per level.
        masks: computes the masks of windows.
        grid: the anchors.
    """

    logits: list[Tensor]
    deltas: list[Tensor]
    masks: MaskPredictor
    grid: AnchorGrid

    def of(self, image: int) -> Output:
        """The output for one image, by its number: a batch of its own, whose masks cost nothing for the others."""
        own = slice(image, image + 1)
        masks = replace(self.masks, pyramid=[level[own] for level in self.masks.pyramid])
        logits, deltas = ([level[own] for level in levels] for levels in (self.logits, self.deltas))
        return Output(logits, deltas, masks, self.grid)


class TensorMaskNet(nn.Module):
    """Backbone and heads; see `build`."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.backbone = FPN(config)
        self.head = Head(config)
        self.dtype, self.memory_format = torch.float32, torch.contiguous_format

    def forward(self, images: Tensor) -> Output:
        """Normalised images, float32 (N, 3, H, W), H and W multiples of 32."""
        images = images.to(self.dtype, memory_format=self.memory_format)
        pyramid = self.backbone(images)[: len(self.config.in_features)]
        grid = AnchorGrid(self.config, [(p.shape[-2], p.shape[-1]) for p in pyramid], images.device)
        masks = MaskPredictor(self.config, self.head, pyramid)
        return Output(self.head.classes(pyramid), self.head.boxes(pyramid), masks, grid)

    def initialise(self) -> None:
        """Random values to start training with, before the backbone's own weights are loaded."""
        for name, module in self.backbone.named_modules():
            if isinstance(module, CLASSES):
                module.reset_parameters()
            elif isinstance(module, Conv) and name.startswith("bottom_up."):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, Conv):
                nn.init.kaiming_uniform_(module.weight, a=1)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.head.initialise()


def build(config: Config) -> TensorMaskNet:
    """A network whose weights are not set to anything yet, which saves the time of doing so.

    Raises:
        ConfigError: it has more weights than a network of this kind can need.
    """
    with torch.device("meta"):
        net = TensorMaskNet(config)
    count = sum(value.numel() for value in net.state_dict().values())
    if count > _MOST_WEIGHTS:
        problem = f"{count} weights; expected at most {_MOST_WEIGHTS}: its numbers of channels and classes decide"
        raise ConfigError("the network of this config", [problem])
    return net.to_empty(device="cpu")
