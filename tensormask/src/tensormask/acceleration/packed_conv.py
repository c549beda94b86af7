"""Convolutions by oneDNN, with their weights laid out for its kernels and with what follows them fused in.

The operators are those that PyTorch's own compiler calls on CPUs. They need no compiler themselves.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_TYPICAL_SIZE = (100, 168)  # of features; weights are laid out for it, others work, too


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
    """relu(conv(x) + residual) in one operator. It has no parameters and stays on the CPU.

    Args:
        conv: on the CPU, with numbers as padding. If it has an attribute `relu` that is true, ReLU follows it.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        if isinstance(conv.padding, str):
            raise ValueError(f"a convolution has the padding {conv.padding!r}; expected numbers")
        self.relu = bool(getattr(conv, "relu", False))
        self.geometry = (list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups)
        self.bias = None if conv.bias is None else conv.bias.detach()
        self.weight: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
            conv.weight.detach(), *self.geometry, [1, conv.in_channels, *_TYPICAL_SIZE]
        )

    def forward(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """x (N, C, H, W), channels last. A residual is overwritten with the result."""
        result: Tensor
        if residual is None:
            result = torch.ops.mkldnn._convolution_pointwise(
                x, self.weight, self.bias, *self.geometry, "relu" if self.relu else "none", [], None
            )
        else:
            result = torch.ops.mkldnn._convolution_pointwise_.binary(
                residual, x, self.weight, self.bias, *self.geometry, "add", 1.0, "relu" if self.relu else None, [], None
            )
        return result
