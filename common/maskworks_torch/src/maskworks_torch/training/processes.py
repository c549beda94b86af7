"""The processes of a training: one, or those that `torchrun` started, each with a device of its own."""

from __future__ import annotations

import gc
import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Self, TypeVar

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from maskworks.errors import DeviceError, MaskworksError
from maskworks_torch import device as devices

T = TypeVar("T")

# Long, as the others wait while the first process looks through the data or downloads.
_PATIENCE = timedelta(hours=3)


@dataclass(frozen=True)
class Processes:
    """This process among those of the training.

    Attributes:
        rank: its number; 0 is the one that writes.
        count: how many there are.
        device: where it computes.
        expected: the errors of one process that `from_first` raises in all.
    """

    rank: int
    count: int
    device: torch.device
    expected: ClassVar[type[Exception]] = MaskworksError

    @classmethod
    @contextmanager
    def joined(cls, device: str) -> Iterator[Self]:
        """Inside, all processes of the training know each other. `device` is the flag's value.

        What `share` gave must not outlive the block: freed after the group of processes, it can wait for its threads
        for ever, as these wait for Python. So local variables of the functions that an error has left are cleared.

        Raises:
            DeviceError: the device does not work here.
        """
        own = torch.device(devices.select_device(own_device(device)))
        if own.type == "cuda" and own.index is not None:
            torch.cuda.set_device(own)  # what asks for no device in particular gets this one
        if _count() == 1:
            yield cls(0, 1, own)
            return
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
        """Whether this is the process that writes files and messages."""
        return self.rank == 0

    def from_first(self, make: Callable[[], T]) -> T:
        """What `make` gives in the first process, in all of them; so for an error that is `expected`."""
        made: list[T | Exception | None] = [None]
        if self.is_first:
            try:
                made = [make()]
            except self.expected as error:
                made = [error]
        if self.count > 1:
            distributed.broadcast_object_list(made, device=torch.device("cpu"))
        if isinstance(made[0], self.expected):
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

    def wait(self) -> None:
        """Returns when all processes are here."""
        self.highest(0)

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        """The mean of the processes' values."""
        if self.count > 1:
            value = value.cpu()
            distributed.all_reduce(value)
            value = value / self.count
        return value

    def share(self, net: nn.Module, *, broadcast_buffers: bool = True) -> nn.Module:
        """The net, wrapped so that every process gets the first one's weights and all processes' gradients.

        Args:
            net: on this process's device; all of its parameters that need gradients get some in each step.
            broadcast_buffers: whether every step begins with the first process's buffers.
        """
        if self.count == 1:
            return net
        own = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(net, own, broadcast_buffers=broadcast_buffers)

    def same_buffers(self, net: nn.Module) -> None:
        """Give all processes the first one's buffers: each has statistics of the samples that it saw itself."""
        if self.count > 1:
            for buffer in net.buffers():
                distributed.broadcast(buffer, 0)


def own_device(name: str) -> str:
    """The device that this process shall take: of several that compute on GPUs each takes the GPU of its number.

    Ask before anything touches a GPU: every process would keep some memory of the first one.

    Args:
        name: `auto`, `cpu`, `cuda`, `cuda:N`.

    Raises:
        DeviceError: one GPU is named for several processes.
    """
    if _count() == 1:
        return name
    if name in ("cuda", "cuda:0") or (name == "auto" and torch.cuda.is_available()):
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    if name.startswith("cuda"):
        raise DeviceError(
            f"--device {name}: with torchrun each process takes a GPU of its own; expected auto, cpu or cuda, and "
            "CUDA_VISIBLE_DEVICES to choose among the GPUs"
        )
    return name


def _count() -> int:
    return int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1
