"""Networks tuned for inference.

`prepare` makes a copy of a network that computes the same faster: batch normalisation is folded into the convolutions
and tensors are channels-last. On CPUs convolutions run with prepacked weights, with ReLU and residual additions fused
in; on those without AVX-512 large 3x3 ones by Winograd's algorithm.
"""

from __future__ import annotations

import copy

import torch

from maskworks_torch.cpu_operators import packed_conv
from maskworks_torch.cpu_operators.convolution import fast_conv
from maskworks_torch.device import Precision, dtype_of
from tensormask.convolution import Conv
from tensormask.network import TensorMaskNet

_TYPICAL_SIZE = (100, 168)  # of features; weights are laid out for it, others work, too


def prepare(
    net: TensorMaskNet, device: str | torch.device, precision: Precision = "fp32", *, compile: bool = False
) -> TensorMaskNet:
    """A copy of a network that is tuned for inference on one device; the network itself stays as it is.

    Args:
        net: with its weights, on the CPU.
        device: where the copy shall run. It cannot be moved.
        precision: the type it computes in. "bf16" and "fp16" are for hardware that has them: elsewhere they are slow.
        compile: with `torch.compile`, which needs a C++ compiler on the machine and minutes at the first image.

    Raises:
        ValueError: an unknown precision.
    """
    device, dtype = torch.device(device), dtype_of(precision)
    net = copy.deepcopy(net).eval().requires_grad_(False)
    for module in net.modules():
        if isinstance(module, Conv):
            module.fold()
    net = net.to(device, dtype)
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # its stub lacks the argument
    net.dtype, net.memory_format = dtype, torch.channels_last
    if compile:
        for part in (net.backbone, net.head.cls_subnet, net.head.bbox_subnet):
            part.compile()
    elif device.type == "cpu" and packed_conv.supports(dtype):
        _replace_convolutions(net)
    return net


def _replace_convolutions(net: TensorMaskNet) -> None:
    for name, conv in list(net.named_modules()):
        if not isinstance(conv, Conv) or name.startswith("head.mask_pred"):  # its weights are used apart
            continue
        if conv.norm is not None:  # the FPN's with GN or LN, which the fast operators do not have
            continue
        size = (1, conv.in_channels, *_TYPICAL_SIZE)
        net.set_submodule(name, fast_conv(conv, size, "relu" if conv.relu else "none"))
