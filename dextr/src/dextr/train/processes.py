"""The processes of a training of DEXTR; see `maskworks_torch.training.processes`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Self

import torch
from torch import nn

from dextr.errors import DeviceError, DextrError
from maskworks.errors import DeviceError as MaskworksDeviceError
from maskworks_torch.training import processes


class Processes(processes.Processes):
    """This process among those of the training, with the errors of this library."""

    expected: ClassVar[type[Exception]] = DextrError

    @classmethod
    @contextmanager
    def joined(cls, device: str) -> Iterator[Self]:
        """Inside, all processes of the training know each other. `device` is the flag's value.

        Raises:
            DeviceError: the device does not work here.
        """
        try:
            with super().joined(device) as joined:
                yield joined
        except MaskworksDeviceError as error:
            raise DeviceError(str(error)) from None

    def share(self, net: nn.Module, *, broadcast_buffers: bool = True) -> nn.Module:
        """The net, wrapped so that every process gets the first one's weights and all processes' gradients."""
        if self.count > 1:
            _freeze_unused(net, self.device)
        return super().share(net, broadcast_buffers=broadcast_buffers)


def _freeze_unused(net: nn.Module, device: torch.device) -> None:
    """Take parameters that the output does not depend on out of the training: their gradients would never be sent."""
    from dextr.inference.prediction import evaluating

    with evaluating(net):
        torch.autograd.backward(net(torch.zeros(1, 4, 64, 64, device=device))["out"].sum())
    for parameter in net.parameters():
        parameter.requires_grad_(parameter.grad is not None)
        parameter.grad = None
