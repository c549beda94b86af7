"""MobileUNet: a small U-net for CPUs on MobileNetV3 (Howard et al., "Searching for MobileNetV3", ICCV 2019).

Next to nothing is computed at full resolution: the last decoder block also sees the input with each 2x2 patch folded
into channels, and its result is unfolded again before the classifier (sub-pixel convolution, Shi et al., CVPR 2016).
That keeps edges sharp at a third of the cost of a skip at full resolution.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from dextr.architectures.blocks import PRETRAINED, UNet, load_backbone

# How many layers of MobileNetV3-Small end at strides 2, 4, 8, 16 and 32, and the channels there.
STAGE_ENDS = (1, 2, 4, 9, 12)
STAGE_CHANNELS = (16, 16, 24, 48, 96)
# Of the decoder blocks at strides 16, 8, 4 and 2.
DECODER_CHANNELS = (96, 64, 48, 24)
FULL_SIZE_CHANNELS = 8
INPUT_CHANNELS = 4
# Torchvision's MobileNetV3 has 0.01; its statistics are still far behind the weights after hundreds of iterations.
BATCH_NORM_MOMENTUM = 0.1


def conv_bn_relu(channels_in: int, channels_out: int, kernel: int) -> nn.Sequential:
    """Convolution of stride 1 that keeps the size, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class LightDecoderBlock(nn.Module):
    """Brings deep and skipped features to the same few channels and adds them: mix(up(reduce(x)) + match(skip))."""

    def __init__(self, x_chn_in: int, skip_chn_in: int, chn_out: int) -> None:
        super().__init__()
        self.reduce = conv_bn_relu(x_chn_in, chn_out, kernel=1)
        self.match = conv_bn_relu(skip_chn_in, chn_out, kernel=1)
        self.mix = conv_bn_relu(chn_out, chn_out, kernel=3)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """x (N, x_chn_in, h, w) and skip (N, skip_chn_in, 2h, 2w) -> (N, chn_out, 2h, 2w)."""
        enlarged = F.interpolate(self.reduce(x), scale_factor=2.0, mode="nearest")
        mixed: torch.Tensor = self.mix(enlarged + self.match(skip))
        return mixed


class MobileUNet(UNet):
    """U-net on MobileNetV3-Small without its last convolution and classifier.

    Args:
        base_model: the first 12 of torchvision's `features`, whose first convolution takes four channels.
        num_classes: channels of the logits.

    Input (N, 4, h, w), h and w divisible by 32; output {"out": logits (N, num_classes, h, w)}.
    """

    def __init__(self, base_model: nn.Sequential, num_classes: int) -> None:
        super().__init__()
        self.base_model = base_model
        skips = (STAGE_CHANNELS[0] + 4 * INPUT_CHANNELS, *STAGE_CHANNELS[1:-1])
        inputs = (STAGE_CHANNELS[-1], *DECODER_CHANNELS[:-1])
        self.decoder_blocks = nn.ModuleList(
            LightDecoderBlock(*channels) for channels in zip(inputs, reversed(skips), DECODER_CHANNELS, strict=True)
        )
        self.final_conv = nn.Conv2d(DECODER_CHANNELS[-1], 4 * FULL_SIZE_CHANNELS, 3, padding=1)
        self.final_clf = nn.Conv2d(FULL_SIZE_CHANNELS, num_classes, 1)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        self.check_size(x)
        skips, deep = [], x
        for number, layer in enumerate(self.base_model.children(), start=1):
            deep = layer(deep)
            if number in STAGE_ENDS:
                skips.append(deep)
        skips[0] = torch.cat((skips[0], F.pixel_unshuffle(x, 2)), dim=1)
        deep = skips.pop()
        for block in self.decoder_blocks:
            deep = block(deep, skips.pop())
        return {"out": self.final_clf(F.relu(F.pixel_shuffle(self.final_conv(deep), 2)))}


def dextr_mobileunet(num_classes: int = 1, backbone_weights: str | Path | None = PRETRAINED) -> MobileUNet:
    """MobileUNet for red, green, blue and heat map.

    Args:
        num_classes: channels of the logits.
        backbone_weights: "imagenet" for torchvision's (downloaded), None for random ones, or a file with the state dict
            of a MobileNetV3-Small.
    """
    published = backbone_weights == PRETRAINED
    backbone = torchvision.models.mobilenet_v3_small(weights="IMAGENET1K_V1" if published else None)
    load_backbone(backbone, None if published else backbone_weights)
    layers = backbone.features[: STAGE_ENDS[-1]]
    rgb = layers[0][0]
    layers[0][0] = nn.Conv2d(INPUT_CHANNELS, rgb.out_channels, 3, stride=2, padding=1, bias=False)
    with torch.no_grad():
        layers[0][0].weight[:, :3] = rgb.weight
    for layer in layers.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = BATCH_NORM_MOMENTUM
    return MobileUNet(layers, num_classes)
