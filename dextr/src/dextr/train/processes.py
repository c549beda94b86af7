"""The processes of a training: one, or those that `torchrun` started, each with a device of its own."""

from __future__ import annotations

import gc
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from dextr.errors import DeviceError, DextrError

T = TypeVar("T")

# Long, as the others wait while the first process looks through the data.
_PATIENCE = timedelta(hours=3)


@dataclass(frozen=True)
class Processes:
    """This process among those of the training.

    Attributes:
        rank: its number; 0 is the one that writes.
        count: how many there are.
        device: where it computes.
    """

    rank: int
    count: int
    device: torch.device

    @classmethod
    @contextmanager
    def joined(cls, device: str) -> Iterator[Processes]:
        """Inside, all processes of the training know each other. `device` is the flag's value.

        What `share` gave must not outlive the block: freed after the group of processes, it can wait for its threads
        for ever, as these wait for Python. So local variables of the functions that an error has left are cleared.

        Raises:
            DeviceError: the device does not work here.
        """
        if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
            yield cls(0, 1, _usable_device(device))
            return
        own = _usable_device(_name_of_own(device, int(os.environ.get("LOCAL_RANK", "0"))))
        # What processes tell each other beside gradients goes through gloo, so that nobody waits for a GPU.
        distributed.init_process_group("cpu:gloo,cuda:nccl" if own.type == "cuda" else "gloo", timeout=_PATIENCE)
        try:
            yield cls(distributed.get_rank(), distributed.get_world_size(), own)
        except BaseException as error:
            traceback.clear_frames(error.__traceback__)
            raise
        finally:
            gc.collect()
            distributed.destroy_process_group()

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    def from_first(self, make: Callable[[], T]) -> T:
        """What `make` gives in the first process, in all of them; so for a `DextrError` that it raises."""
        made: list[T | DextrError | None] = [None]
        if self.is_first:
            try:
                made = [make()]
            except DextrError as error:
                made = [error]
        if self.count > 1:
            distributed.broadcast_object_list(made, device=torch.device("cpu"))
        if isinstance(made[0], DextrError):
            raise made[0]
        return made[0]  # type: ignore[return-value]  # None only where T is

    def gather(self, value: T) -> list[T]:
        """The values of all processes, in all of them."""
        if self.count == 1:
            return [value]
        values: list[T | None] = [None] * self.count
        distributed.all_gather_object(values, value)
        return values  # type: ignore[return-value]  # all are there now

    def highest(self, number: int) -> int:
        """The highest of the processes' numbers."""
        if self.count == 1:
            return number
        numbers = torch.tensor(number)
        distributed.all_reduce(numbers, distributed.ReduceOp.MAX)
        return int(numbers.item())

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        """The mean of the processes' values."""
        if self.count > 1:
            value = value.cpu()
            distributed.all_reduce(value)
            value = value / self.count
        return value

    def share(self, net: nn.Module) -> nn.Module:
        """The net, wrapped so that every process gets the first one's weights and all processes' gradients."""
        if self.count == 1:
            return net
        _freeze_unused(net, self.device)
        return DistributedDataParallel(net, [self.device] if self.device.type == "cuda" else None)

    def same_buffers(self, net: nn.Module) -> None:
        """Give all processes the first one's buffers: each has statistics of the samples that it saw itself."""
        if self.count > 1:
            for buffer in net.buffers():
                distributed.broadcast(buffer, 0)


def _freeze_unused(net: nn.Module, device: torch.device) -> None:
    """Take parameters that the output does not depend on out of the training: nobody would send their gradients."""
    from dextr.inference.prediction import evaluating

    with evaluating(net):
        torch.autograd.backward(net(torch.zeros(1, 4, 64, 64, device=device))["out"].sum())
    for parameter in net.parameters():
        parameter.requires_grad_(parameter.grad is not None)
        parameter.grad = None


def _name_of_own(name: str, local_rank: int) -> str:
    """The device of one of several processes, each of which has a GPU of its own."""
    if name in ("cuda", "cuda:0") or (name == "auto" and torch.cuda.is_available()):
        return f"cuda:{local_rank}"
    if name.startswith("cuda"):
        raise DeviceError(
            f"--device {name}: with torchrun each process takes a GPU of its own; expected auto, cpu or cuda, and "
            "CUDA_VISIBLE_DEVICES to choose among the GPUs"
        )
    return name


def _usable_device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda:0" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        (torch.ones(1, device=device) + 1).item()
        if device.type == "cuda" and device.index is not None:
            torch.cuda.set_device(device)  # what asks for no device in particular gets this one
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).partition("\n")[0]
        raise DeviceError(f"--device {name}: not usable here: {reason}; expected auto, cpu or cuda:N") from None
    return device
