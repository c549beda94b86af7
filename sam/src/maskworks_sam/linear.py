"""Linear layers for inference, whose results go straight to where they are needed."""

from __future__ import annotations

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskworks_torch.cpu_operators import onednn


class Linear(Protocol):
    """A frozen linear layer. x is (rows, in) of the layer's type, `out` (rows, out) of any type."""

    def __call__(self, x: Tensor) -> Tensor:
        """The layer's result, (rows, out) of the layer's type."""
        ...

    def write(self, x: Tensor, out: Tensor) -> None:
        """Puts the result into `out`."""
        ...

    def add(self, x: Tensor, out: Tensor) -> None:
        """Adds the result to `out`."""
        ...


def make_linear(layer: nn.Linear, device: str, dtype: torch.dtype, *, gelu: bool = False) -> Linear:
    """A copy of a layer for one device and type, with GELU behind it where asked for.

    On CPUs oneDNN computes GELU within the product, and bfloat16 with the instructions that there are for it. A plain
    product in float32 is MKL's, which is as fast and adds to what is there.
    """
    special = gelu or dtype != torch.float32
    if device == "cpu" and special and onednn.supports(dtype, "_linear_pointwise"):
        return OneDnnLinear(layer, dtype, gelu)
    return PlainLinear(layer, device, dtype, gelu)


class PlainLinear(nn.Module):
    """A linear layer by the matrix product of the device's own library."""

    def __init__(self, layer: nn.Linear, device: str, dtype: torch.dtype, gelu: bool) -> None:
        super().__init__()
        self.weight = layer.weight.detach().to(device, dtype).t()
        self.bias = layer.bias.detach().to(device, dtype)
        self.gelu = gelu

    def forward(self, x: Tensor) -> Tensor:
        y = torch.addmm(self.bias, x, self.weight)
        return F.gelu(y) if self.gelu else y

    def write(self, x: Tensor, out: Tensor) -> None:
        if self.gelu or out.dtype != x.dtype:
            out.copy_(self(x))
        else:
            torch.addmm(self.bias, x, self.weight, out=out)

    def add(self, x: Tensor, out: Tensor) -> None:
        if self.gelu or out.dtype != x.dtype:
            out.add_(self(x))
        else:
            out.add_(self.bias).addmm_(x, self.weight)


class OneDnnLinear(nn.Module):
    """A linear layer by oneDNN, its weights laid out for that, with the operators of PyTorch's own compiler."""

    def __init__(self, layer: nn.Linear, dtype: torch.dtype, gelu: bool) -> None:
        super().__init__()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(layer.weight.detach().to("cpu", dtype), 1024)
        self.bias = layer.bias.detach().to("cpu", dtype)
        # GELU's argument says how it is approximated; "none" is the exact one.
        self.after = ("gelu", "none") if gelu else ("none", "")

    def forward(self, x: Tensor) -> Tensor:
        name, approximation = self.after
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, name, [], approximation)
        return y

    def write(self, x: Tensor, out: Tensor) -> None:
        out.copy_(self(x))

    def add(self, x: Tensor, out: Tensor) -> None:
        out.add_(self(x))
