"""Parts of all U-nets: the four-channel stem, the decoder block, and the final stage at full resolution."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from maskworks_torch.checkpoints import load_torch

PRETRAINED = "imagenet"


def load_backbone(backbone: nn.Module, weights: str | Path | None) -> None:
    """Fills a torchvision net from a file with its state dict. `None` leaves it as it is."""
    if weights is not None:
        backbone.load_state_dict(load_torch(weights))


def four_channel_conv(conv: nn.Conv2d) -> nn.Conv2d:
    """A convolution that also takes the heat map.

    Its first three input channels are those of `conv`, the fourth starts as PyTorch initialises any convolution of four
    channels.
    """
    wider = nn.Conv2d(4, conv.out_channels, (7, 7), stride=2, padding=3, bias=False)
    with torch.no_grad():
        wider.weight[:, :3] = conv.weight
    return wider


def check_size(size_yx: Sequence[int], block_size_yx: Sequence[int]) -> None:
    """Raises ValueError where the height or width of a net's input is not a multiple of the block size."""
    if size_yx[0] % block_size_yx[0] or size_yx[1] % block_size_yx[1]:
        raise ValueError(
            f"the net's input is {size_yx[0]} x {size_yx[1]} pixels (height x width); expected multiples of "
            f"{block_size_yx[0]} x {block_size_yx[1]}: choose such a target size"
        )


class DecoderBlock(nn.Module):
    """Enlarges deep features by two, adds those of the encoder, and mixes: relu(BN(conv3x3(up(x) + skip))).

    Args:
        x_chn_in: channels of the deep features.
        skip_chn_in: channels of the encoder's features; must be the same number.
        chn_out: channels of the result.

    Raises:
        ValueError: the two inputs have different numbers of channels.
    """

    def __init__(self, x_chn_in: int, skip_chn_in: int, chn_out: int) -> None:
        super().__init__()
        if x_chn_in != skip_chn_in:
            raise ValueError(f"a decoder block adds its inputs; they have {x_chn_in} and {skip_chn_in} channels")
        self.x_chn_in = x_chn_in
        self.skip_chn_in = skip_chn_in
        self.chn_out = chn_out
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.conv = nn.Conv2d(x_chn_in, chn_out, 3, padding=1, bias=False)
        self.conv_bn = nn.BatchNorm2d(chn_out)

    def forward(self, x_in: torch.Tensor, skip_in: torch.Tensor) -> torch.Tensor:
        """x_in (N, C, h, w) and skip_in (N, C, 2h, 2w) -> (N, chn_out, 2h, 2w)."""
        channels = x_in.shape[1], skip_in.shape[1]
        if channels[0] != channels[1]:
            raise ValueError(f"a decoder block adds its inputs; they have {channels[0]} and {channels[1]} channels")
        return F.relu(self.conv_bn(self.conv(self.up(x_in) + skip_in)))


class UNet(nn.Module):
    """Base of the U-nets: the last stage, from half to full resolution, and the parameter groups.

    Subclasses fill the encoder and the decoders first and call `add_final` last, so that the order of the parameters is
    that of the original's checkpoints.
    """

    BLOCK_SIZE = (32, 32)

    base_model: nn.Module

    def add_final(self, chn_in: int, num_classes: int) -> None:
        """Adds the layers of the last stage, `final_*`."""
        self.final_dec_up = nn.Upsample(scale_factor=2, mode="nearest")
        self.final_dec_conv = nn.Conv2d(chn_in, 64, 3, padding=1, bias=False)
        self.final_dec_drop = nn.Dropout(0.3)
        self.final_dec_bn = nn.BatchNorm2d(64)
        self.final_clf = nn.Conv2d(64, num_classes, 1)

    def final(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """x (N, C, h/2, w/2) -> {"out": logits (N, num_classes, h, w)}."""
        x = self.final_dec_drop(self.final_dec_conv(self.final_dec_up(x)))
        return {"out": self.final_clf(F.relu(self.final_dec_bn(x)))}

    def check_size(self, x: torch.Tensor) -> None:
        """Raises ValueError where x (N, 4, h, w) is of a size that cannot be halved five times."""
        check_size(x.shape[-2:], self.BLOCK_SIZE)

    @property
    def pretrained_parameters(self) -> list[nn.Parameter]:
        """The encoder's parameters, its first convolution included; they learn slowly."""
        return list(self.base_model.parameters())

    @property
    def new_parameters(self) -> list[nn.Parameter]:
        """All other parameters."""
        pretrained = {id(parameter) for parameter in self.pretrained_parameters}
        return [parameter for parameter in self.parameters() if id(parameter) not in pretrained]
