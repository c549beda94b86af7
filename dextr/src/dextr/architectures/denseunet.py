"""U-net on DenseNet-161 (Huang et al., "Densely Connected Convolutional Networks", CVPR 2017)."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from dextr.architectures.blocks import PRETRAINED, DecoderBlock, UNet, four_channel_conv, load_backbone


class DenseUNet(UNet):
    """Decoder on the features that enter the DenseNet's pooling and transition layers.

    Unlike in the ResUNet, `line0_conv` acts on the features at 1/16 and brings them to the channels of the bottom.

    Args:
        base_model: torchvision DenseNet-161 whose `features.conv0` takes four channels. Its classifier stays, unused.
        num_classes: channels of the logits.

    Input (N, 4, h, w), h and w divisible by 32; output {"out": logits (N, num_classes, h, w)}.
    """

    def __init__(self, base_model: nn.Module, num_classes: int) -> None:
        super().__init__()
        self.base_model = base_model
        self.tap_names = ["pool0", "transition1", "transition2", "transition3"]
        self.line0_conv = nn.Conv2d(2112, 2208, 1)
        self.decoder_blocks = nn.ModuleList(
            [
                DecoderBlock(96, 96, 96),
                DecoderBlock(384, 384, 96),
                DecoderBlock(768, 768, 384),
                DecoderBlock(2208, 2208, 768),
            ]
        )
        self.add_final(96, num_classes)

    @property
    def pretrained_parameters(self) -> list[nn.Parameter]:
        """The parameters of the DenseNet's features; its unused classifier counts as new."""
        features: nn.Module = self.base_model.get_submodule("features")
        return list(features.parameters())

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        self.check_size(x)
        skips = []
        for name, layer in self.base_model.get_submodule("features").named_children():
            if name in self.tap_names:
                skips.append(x)
            x = layer(x)
        deep = F.relu(x)
        skips[-1] = self.line0_conv(skips[-1])
        for block, skip in zip(reversed(self.decoder_blocks), reversed(skips), strict=True):
            deep = block(deep, skip)
        return self.final(deep)


def dextr_denseunet161(num_classes: int = 1, backbone_weights: str | Path | None = PRETRAINED) -> DenseUNet:
    """DenseUNet on DenseNet-161.

    Args:
        num_classes: channels of the logits.
        backbone_weights: "imagenet" for torchvision's (downloaded), None for random ones, or a file with a DenseNet's
            state dict.
    """
    published = backbone_weights == PRETRAINED
    backbone = torchvision.models.densenet161(weights="IMAGENET1K_V1" if published else None)
    load_backbone(backbone, None if published else backbone_weights)
    backbone.features.conv0 = four_channel_conv(backbone.features.conv0)
    return DenseUNet(backbone, num_classes)
