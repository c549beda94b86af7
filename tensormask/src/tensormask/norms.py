"""Normalisations behind convolutions, by the names that configs have for them. They act on (N, C, H, W)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUPS = 32


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
        self.reset_parameters()

    def reset_parameters(self) -> None:
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
        scale, shift = affine(self)
        return x * scale[:, None, None].to(x.dtype) + shift[:, None, None].to(x.dtype)


class ChannelNorm(nn.LayerNorm):
    """Each place of a map by the mean and variance of its channels: `LN`."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


# The kinds of SyncBN differ in training alone, on images of unequal size; here all count every pixel alike.
NORMS: Mapping[str, Callable[[int], nn.Module]] = {
    "FrozenBN": FrozenBatchNorm,
    "BN": nn.BatchNorm2d,
    **dict.fromkeys(("SyncBN", "nnSyncBN", "naiveSyncBN", "naiveSyncBN_N"), nn.SyncBatchNorm),
    "GN": lambda channels: nn.GroupNorm(GROUPS, channels),
    "LN": ChannelNorm,
}
CLASSES = (FrozenBatchNorm, nn.BatchNorm2d, nn.SyncBatchNorm, nn.GroupNorm, ChannelNorm)
# Those that with fixed statistics are a scale and a shift of each channel.
FIXED = (FrozenBatchNorm, nn.BatchNorm2d, nn.SyncBatchNorm)
COUNTER = "num_batches_tracked"  # of BN and SyncBN; nothing depends on it


def affine(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Scale and shift, (C,) each, with norm(x) = scale x + shift, of one of `FIXED` in evaluation mode."""
    assert isinstance(norm, FIXED)
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    scale = norm.weight * (variance + norm.eps).rsqrt()
    return scale, norm.bias - mean * scale
