"""Nets tuned for inference.

`prepare` makes a copy of a net that gives the same logits faster. Everywhere, batch normalisation is folded into the
convolutions and tensors are channels-last. On CPUs, convolutions run with prepacked weights and with activations and
residual additions fused in; without AVX-512, large 3x3 ones by Winograd's algorithm. Nothing is computed on an enlarged
copy of a smaller tensor.
"""

from __future__ import annotations

import torch
from torch import nn

from dextr.acceleration import cpu_graph
from dextr.acceleration.folding import fold
from dextr.architectures.blocks import check_size
from maskworks_torch.cpu_operators import packed_conv
from maskworks_torch.device import Precision as Precision
from maskworks_torch.device import dtype_of


class PreparedNet(nn.Module):
    """A net for inference only: float32 (N, 4, h, w) -> {"out": float32 logits (N, classes, h, w)}."""

    def __init__(
        self, graph: nn.Module, dtype: torch.dtype, memory_format: torch.memory_format, block_size: tuple[int, int]
    ) -> None:
        super().__init__()
        self.graph = graph
        self.dtype = dtype
        self.memory_format = memory_format
        self.block_size = block_size
        self.eval()

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        check_size(x.shape[-2:], self.block_size)
        out: torch.Tensor = self.graph(x.to(self.dtype, memory_format=self.memory_format))["out"]
        return {"out": out.float()}


def prepare(
    net: nn.Module,
    target_size_yx: tuple[int, int],
    device: str | torch.device = "cpu",
    precision: Precision = "fp32",
    *,
    compile: bool = False,
    channels_last: bool = True,
) -> PreparedNet:
    """A copy of a net that is tuned for inference on one device; the net itself stays as it is.

    In float32 on a CPU without AVX-512 the copy is larger than the net (ResUNet-101: 0.5 GB instead of 0.2), because
    Winograd's algorithm needs 36 values for each 3x3 kernel.

    Args:
        net: one of `dextr.architectures`.
        target_size_yx: height and width to tune for; other sizes work too.
        device: where the copy lives. It cannot be moved.
        precision: the type it computes in. "bf16" and "fp16" are for hardware that has them: elsewhere they are slow.
        compile: compile it with `torch.compile`, which needs a C++ compiler on the machine and a minute at the first
            call.
        channels_last: the order of the tensors' elements; the other one is only for measurements.

    Raises:
        ValueError: an unknown precision, or a size that the net does not take.
    """
    block_size = getattr(net, "BLOCK_SIZE", (1, 1))
    check_size(target_size_yx, block_size)
    device, dtype = torch.device(device), dtype_of(precision)
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    graph = fold(net).requires_grad_(False).to(device, dtype)
    graph.to(memory_format=memory_format)  # type: ignore[call-overload]  # its stub lacks the argument
    if compile:
        graph.compile(options={"freezing": device.type == "cpu"})
    elif device.type == "cpu" and channels_last and packed_conv.supports(dtype):
        graph = cpu_graph.rewrite(graph, torch.Size((1, 4, *target_size_yx)))
    return PreparedNet(graph, dtype, memory_format, block_size)
