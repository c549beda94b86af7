"""The one building block of the network: convolution, normalisation, residual addition, ReLU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tensormask.norms import FIXED, NORMS, affine


class Conv(nn.Conv2d):
    """relu(norm(conv(x)) + residual), of which only the convolution has to be there. It keeps the size at stride 1.

    Args:
        in_channels, out_channels, kernel, stride, groups: of the convolution.
        norm: one of `norms.NORMS`, and then without bias; or "".
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
        norm: str = "",
        relu: bool = False,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=not norm)
        self.norm = NORMS[norm](out_channels) if norm else None
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
        """Makes a normalisation with fixed statistics a part of the convolution, which is then the same but for
        rounding. One that looks at the image (GN, LN) stays."""
        if isinstance(self.norm, FIXED):
            scale, shift = affine(self.norm.double())  # so that only the results are rounded
            self.weight.copy_(self.weight * scale[:, None, None, None])
            self.bias = nn.Parameter(shift.to(self.weight.dtype), requires_grad=False)
            self.norm = None
