"""U-net on a ResNet of bottleneck blocks (He et al., "Deep Residual Learning", CVPR 2016)."""

from __future__ import annotations

from pathlib import Path

import torch
import torchvision
from torch import nn
from torchvision.models.resnet import Bottleneck, ResNet

from dextr.architectures.blocks import PRETRAINED, DecoderBlock, UNet, four_channel_conv, load_backbone

BLOCKS_50 = (3, 4, 6, 3)
BLOCKS_101 = (3, 4, 23, 3)


class ResUNet(UNet):
    """Decoder that adds, at every scale, the features of the ResNet to the enlarged deeper ones.

    Args:
        base_model: torchvision ResNet whose `conv1` takes four channels. Its classifier stays, unused.
        num_classes: channels of the logits.

    Input (N, 4, h, w), h and w divisible by 32; output {"out": logits (N, num_classes, h, w)}.
    """

    def __init__(self, base_model: nn.Module, num_classes: int) -> None:
        super().__init__()
        self.base_model = base_model
        self.line0_conv = nn.Conv2d(2048, 1024, 1)
        self.decoder3 = DecoderBlock(1024, 1024, 512)
        self.decoder2 = DecoderBlock(512, 512, 256)
        self.decoder1 = DecoderBlock(256, 256, 64)
        self.decoder0 = DecoderBlock(64, 64, 64)
        self.add_final(64, num_classes)

    @property
    def blocks(self) -> tuple[int, ...]:
        """Number of bottleneck blocks in each of the four stages."""
        return tuple(len(getattr(self.base_model, f"layer{stage}")) for stage in (1, 2, 3, 4))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        self.check_size(x)
        encoder: ResNet = self.base_model
        stem = encoder.relu(encoder.bn1(encoder.conv1(x)))
        skip1 = encoder.layer1(encoder.maxpool(stem))
        skip2 = encoder.layer2(skip1)
        skip3 = encoder.layer3(skip2)
        deep = self.line0_conv(encoder.layer4(skip3))
        deep = self.decoder3(deep, skip3)
        deep = self.decoder2(deep, skip2)
        deep = self.decoder1(deep, skip1)
        return self.final(self.decoder0(deep, stem))


def resunet(blocks: tuple[int, ...], num_classes: int = 1) -> ResUNet:
    """ResUNet with these numbers of blocks per stage and random weights."""
    return _resunet(ResNet(Bottleneck, list(blocks)), num_classes)


def dextr_resunet50(num_classes: int = 1, backbone_weights: str | Path | None = PRETRAINED) -> ResUNet:
    """ResUNet on ResNet-50.

    Args:
        num_classes: channels of the logits.
        backbone_weights: "imagenet" for torchvision's (downloaded), None for random ones, or a file with a ResNet's
            state dict.
    """
    return _pretrained("resnet50", num_classes, backbone_weights)


def dextr_resunet101(num_classes: int = 1, backbone_weights: str | Path | None = PRETRAINED) -> ResUNet:
    """ResUNet on ResNet-101; arguments as for `dextr_resunet50`."""
    return _pretrained("resnet101", num_classes, backbone_weights)


def _pretrained(name: str, num_classes: int, backbone_weights: str | Path | None) -> ResUNet:
    published = backbone_weights == PRETRAINED
    backbone = getattr(torchvision.models, name)(weights="IMAGENET1K_V1" if published else None)
    load_backbone(backbone, None if published else backbone_weights)
    return _resunet(backbone, num_classes)


def _resunet(backbone: ResNet, num_classes: int) -> ResUNet:
    backbone.conv1 = four_channel_conv(backbone.conv1)
    return ResUNet(backbone, num_classes)
