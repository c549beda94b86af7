"""Feature pyramid network (Lin et al., CVPR 2017) with the two extra levels of RetinaNet."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tensormask.config import Config
from tensormask.convolution import Conv
from tensormask.resnet import ResNet


class TopBlock(nn.Module):
    """res5 -> p6, p7."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.p6 = Conv(in_channels, out_channels, 3, stride=2)
        self.p7 = Conv(out_channels, out_channels, 3, stride=2)

    def forward(self, res5: Tensor) -> tuple[Tensor, Tensor]:
        # On CPUs in the precision of the weights: oneDNN's bfloat16 gradient of a strided convolution is not finite
        # at times where the map is one pixel wide.
        with torch.autocast("cpu", enabled=False):
            p6 = self.p6(res5.to(self.p6.weight.dtype))
            return p6, self.p7(F.relu(p6))


class FPN(nn.Module):
    """Images to the pyramid p2 ... p7, all of the same number of channels, of strides 4 ... 128.

    Level l has ceil(H_0 / 2^l) rows, where H_0 = H / 4; columns alike.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.bottom_up = ResNet(config)
        self.top_block = TopBlock(self.bottom_up.channels[-1], config.fpn_out_channels)
        self.fuse = 0.5 if config.fuse_type == "avg" else 1.0
        for stage, channels in enumerate(self.bottom_up.channels, start=2):
            width, norm = config.fpn_out_channels, config.fpn_norm
            self.add_module(f"fpn_lateral{stage}", Conv(channels, width, 1, norm=norm))
            self.add_module(f"fpn_output{stage}", Conv(width, width, 3, norm=norm))

    def freeze_unused(self, levels: int) -> None:
        """Excludes from training the layers of the levels behind the first ones."""
        last = [*(f"fpn_output{stage}" for stage in (2, 3, 4, 5)), "top_block.p6", "top_block.p7"]
        for name in last[levels:]:
            self.get_submodule(name).requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """float32 (N, 3, H, W), H and W multiples of 32 -> p2 ... p7, each (N, C, H_l, W_l)."""
        stages = self.bottom_up(images)
        top = self.get_submodule("fpn_lateral5")(stages[-1])
        pyramid = [self.get_submodule("fpn_output5")(top)]
        for stage in (4, 3, 2):
            above = F.interpolate(top, scale_factor=2.0, mode="nearest")
            top = self.get_submodule(f"fpn_lateral{stage}")(stages[stage - 2], above)
            if self.fuse != 1.0:
                top = top * self.fuse
            pyramid.insert(0, self.get_submodule(f"fpn_output{stage}")(top))
        return [*pyramid, *self.top_block(stages[-1])]
