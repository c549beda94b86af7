"""One process, or several that `torchrun` started to train together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed


@dataclass(frozen=True)
class Process:
    """This process among those that train.

    Attributes:
        device: where it computes.
        rank: its number.
        count: how many there are.
    """

    device: torch.device
    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether it is the one that writes files and messages."""
        return self.rank == 0

    def agree(self, value: int) -> int:
        """The first process's value."""
        if self.count == 1:
            return value
        tensor = torch.tensor([value], device=self.device)
        distributed.broadcast(tensor, 0)
        return int(tensor)

    def wait(self) -> None:
        """Returns when all processes are here."""
        if self.count > 1:
            distributed.barrier()


def own_device(name: str) -> str:
    """The device that this process shall take: of several that compute on GPUs each takes the GPU of its number.

    Ask before anything touches a GPU: every process would keep some memory of the first one.

    Args:
        name: `auto`, `cpu`, `cuda`, `cuda:N`.
    """
    on_gpu = name.startswith("cuda") or (name == "auto" and torch.cuda.is_available())
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if on_gpu and _processes() > 1 else name


@contextmanager
def this_process(device: str) -> Iterator[Process]:
    """This process; those of `torchrun` are connected for as long as the context lasts.

    Args:
        device: `cpu`, `cuda`, `cuda:N`; of several processes each has an own GPU, see `own_device`.
    """
    chosen, count = torch.device(device), _processes()
    if count == 1:
        yield Process(chosen)
        return
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Process(chosen, distributed.get_rank(), count)
    finally:
        distributed.destroy_process_group()


def _processes() -> int:
    return int(os.environ.get("WORLD_SIZE", "1"))
