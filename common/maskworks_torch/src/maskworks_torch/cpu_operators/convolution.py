"""The operator that a convolution gets on this CPU. Nothing else decides it.

| CPU | float32, 3x3, many channels | any other convolution |
|---|---|---|
| with AVX-512 | `PackedConv` | `PackedConv` |
| without it: AVX2, ARM | `WinogradConv` | `PackedConv` |

Winograd's algorithm trades multiplications for memory traffic. With AVX-512 multiplications are so cheap that nothing
is left to gain (`docs/benchmarks.md` has the figures), and the weights would still take four times the memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from maskworks_torch.cpu_operators.packed_conv import PackedConv
from maskworks_torch.cpu_operators.winograd import WinogradConv, pays_off


def has_avx512() -> bool:
    """Whether torch computes with AVX-512 here. `maskworks doctor` shows the same word in its line `device`."""
    return torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def fast_conv(
    conv: nn.Conv2d, input_size: Sequence[int], activation: str, *, residual: bool = False
) -> PackedConv | WinogradConv:
    """The fastest module for activation(conv(x) + residual) on this CPU.

    Args:
        conv: on the CPU, in the type that it shall compute in, with numbers as padding.
        input_size: the (N, C, H, W) to lay out the weights for. Other sizes work too, maybe slower.
        activation: what follows: "none", "relu" or "hardswish".
        residual: whether something is added. `PackedConv` does that on the way, `WinogradConv` in a pass of its own.
    """
    by_winograd = conv.weight.dtype == torch.float32 and activation in ("none", "relu") and pays_off(conv)
    if by_winograd and not residual and not has_avx512():
        return WinogradConv(conv, relu=activation == "relu")
    return PackedConv(conv, input_size, activation)
