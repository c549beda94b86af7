"""The one building block of the network: convolution, frozen batch normalisation, residual addition, ReLU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FrozenBatchNorm(nn.Module):
    """Batch normalisation with fixed statistics: y = (x - mean) weight / sqrt(var + 1e-5) + bias per channel.

    All four are buffers: they are loaded and saved, never trained.
    """

    eps = 1e-5
    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, torch.empty(channels))
        self.reset()

    def reset(self) -> None:
        """Lets everything through as it is."""
        for value, buffer in (
            (1, self.weight),
            (0, self.bias),
            (0, self.running_mean),
            (1 - self.eps, self.running_var),
        ):
            buffer.fill_(value)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        if not x.requires_grad:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        # Two operations that keep less for the backward pass than one batch_norm would.
        scale, shift = self.affine()
        return x * scale[:, None, None].to(x.dtype) + shift[:, None, None].to(x.dtype)

    def affine(self) -> tuple[Tensor, Tensor]:
        """Scale and shift, (C,) each, with forward(x) = scale x + shift."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        return scale, self.bias - self.running_mean * scale


class Conv(nn.Conv2d):
    """relu(norm(conv(x)) + residual), of which only the convolution has to be there. It keeps the size at stride 1.

    Args:
        in_channels, out_channels, kernel, stride, groups: of the convolution.
        norm: with frozen batch normalisation and then without bias.
        relu: with ReLU.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        norm: bool = False,
        relu: bool = False,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=not norm)
        self.norm = FrozenBatchNorm(out_channels) if norm else None
        self.relu = relu

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """(N, C, H, W) -> (N, C', H', W'). The residual has the result's shape and may be overwritten."""
        y = super().forward(x)
        if self.norm is not None:
            y = self.norm(y)
        if residual is not None:
            y = y + residual
        return F.relu(y, inplace=True) if self.relu else y

    @torch.no_grad()
    def fold(self) -> None:
        """Makes the normalisation a part of the convolution, which is then the same but for rounding."""
        if self.norm is not None:
            scale, shift = self.norm.double().affine()  # so that only the results are rounded
            self.weight.copy_(self.weight * scale[:, None, None, None])
            self.bias = nn.Parameter(shift.to(self.weight.dtype), requires_grad=False)
            self.norm = None
