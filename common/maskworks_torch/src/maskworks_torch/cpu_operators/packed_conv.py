"""Convolutions by oneDNN, with their weights laid out for its kernels and with what follows them fused in."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from maskworks_torch.cpu_operators import onednn


def supports(dtype: torch.dtype) -> bool:
    """Whether `PackedConv` works here for a type."""
    return onednn.supports(dtype, "_convolution_pointwise")


class PackedConv(nn.Module):
    """activation(conv(x) + residual) in one operator. It has no parameters and stays on the CPU.

    Args:
        conv: on the CPU, with numbers as padding.
        input_size: the (N, C, H, W) to lay out the weights for. Other sizes work too, maybe slower.
        activation: the operator's name of what follows: "none", "relu" or "hardswish".
    """

    def __init__(self, conv: nn.Conv2d, input_size: Sequence[int], activation: str) -> None:
        super().__init__()
        if isinstance(conv.padding, str):
            raise ValueError(f"a convolution has the padding {conv.padding!r}; expected numbers")
        self.geometry = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
        self.activation = activation
        self.bias = None if conv.bias is None else conv.bias.detach()
        self.weight: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
            conv.weight.detach(), *self.geometry, list(input_size)
        )

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """x (N, C, H, W) -> (N, C', H', W'), both channels last. A residual is overwritten with the result."""
        result: Tensor
        if residual is None:
            result = torch.ops.mkldnn._convolution_pointwise(
                x, self.weight, self.bias, *self.geometry, self.activation, [], None
            )
        else:
            activation = None if self.activation == "none" else self.activation
            result = torch.ops.mkldnn._convolution_pointwise_.binary(
                residual, x, self.weight, self.bias, *self.geometry, "add", 1.0, activation, [], None
            )
        return result
