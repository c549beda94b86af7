"""ResNet (He et al., CVPR 2016) in the layout of the weights that TensorMask starts from."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from tensormask.config import Config
from tensormask.convolution import Conv

_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


class Stem(nn.Module):
    """(N, 3, H, W) -> (N, C, H/4, W/4)."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.conv1 = Conv(3, out_channels, 7, stride=2, norm="FrozenBN", relu=True)

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(self.conv1(x), 3, stride=2, padding=1)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (depths 18 and 34)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.shortcut = _shortcut(in_channels, out_channels, stride)
        self.conv1 = Conv(in_channels, out_channels, 3, stride=stride, norm="FrozenBN", relu=True)
        self.conv2 = Conv(out_channels, out_channels, 3, norm="FrozenBN", relu=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(x)
        return self.conv2(y, x if self.shortcut is None else self.shortcut(x))  # type: ignore[no-any-return]


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions and a shortcut (depths from 50 on)."""

    def __init__(self, in_channels: int, width: int, out_channels: int, stride: int, config: Config) -> None:
        super().__init__()
        strides = (stride, 1) if config.stride_in_1x1 else (1, stride)
        self.shortcut = _shortcut(in_channels, out_channels, stride)
        self.conv1 = Conv(in_channels, width, 1, stride=strides[0], norm="FrozenBN", relu=True)
        self.conv2 = Conv(width, width, 3, stride=strides[1], groups=config.num_groups, norm="FrozenBN", relu=True)
        self.conv3 = Conv(width, out_channels, 1, norm="FrozenBN", relu=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.conv1(x))
        return self.conv3(y, x if self.shortcut is None else self.shortcut(x))  # type: ignore[no-any-return]


class ResNet(nn.Module):
    """Images to features of strides 4, 8, 16 and 32.

    Attributes:
        channels: of the four results.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.stem = Stem(config.stem_out_channels)
        width, channels = config.num_groups * config.width_per_group, config.res2_out_channels
        self.channels = [channels << stage for stage in range(4)]
        in_channels = config.stem_out_channels
        for stage, count in enumerate(_BLOCKS[config.depth]):
            blocks: list[nn.Module] = []
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                if config.depth < 50:
                    blocks.append(BasicBlock(in_channels, self.channels[stage], stride))
                else:
                    blocks.append(Bottleneck(in_channels, width << stage, self.channels[stage], stride, config))
                in_channels = self.channels[stage]
            self.add_module(f"res{stage + 2}", nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> list[Tensor]:
        """float32 (N, 3, H, W), H and W multiples of 32 -> res2, res3, res4, res5."""
        x = self.stem(x)
        results = []
        for stage in (2, 3, 4, 5):
            x = self.get_submodule(f"res{stage}")(x)
            results.append(x)
        return results

    def freeze(self, at: int) -> None:
        """Excludes the stem (`at` >= 1), res2 (`at` >= 2), ... from training."""
        for name in ("stem", "res2", "res3", "res4", "res5")[: max(at, 0)]:
            self.get_submodule(name).requires_grad_(False)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> Conv | None:
    return None if in_channels == out_channels else Conv(in_channels, out_channels, 1, stride=stride, norm="FrozenBN")
