"""Convolutions by oneDNN, with their weights laid out for its kernels and with what follows them fused in.

The operators are those that PyTorch's own compiler calls on CPUs. They need no compiler themselves.
"""

from __future__ import annotations

import torch
from torch import nn


def supports(dtype: torch.dtype) -> bool:
    """Whether this PyTorch has the operators, and this CPU the instructions for the type."""
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not available or not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if dtype == torch.float16:
        return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())
    return dtype == torch.float32


class PackedConv(nn.Module):
    """activation(conv(x)) in one operator. It has no parameters and stays on the CPU.

    Args:
        conv: the convolution, on the CPU.
        input_size: the (N, C, h, w) to lay out the weights for. Other sizes work too, maybe slower.
        activation: the operator's name of what follows: "none", "relu" or "hardswish".
    """

    def __init__(self, conv: nn.Conv2d, input_size: torch.Size, activation: str) -> None:
        super().__init__()
        if isinstance(conv.padding, str):
            raise ValueError(f"a convolution has the padding {conv.padding!r}; expected numbers")
        self.geometry = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
        self.activation = activation
        self.bias = None if conv.bias is None else conv.bias.detach()
        self.weight: torch.Tensor = torch.ops.mkldnn._reorder_convolution_weight(
            conv.weight.detach(), *self.geometry, list(input_size)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x (N, C, h, w), channels last."""
        result: torch.Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, self.weight, self.bias, *self.geometry, self.activation, [], None
        )
        return result


class PackedConvAdd(PackedConv):
    """activation(conv(x) + other) in one operator, which overwrites `other` with the result."""

    def forward(self, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        activation = None if self.activation == "none" else self.activation
        result: torch.Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(
            other, x, self.weight, self.bias, *self.geometry, "add", 1.0, activation, [], None
        )
        return result
