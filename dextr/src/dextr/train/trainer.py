"""One step of training."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from dextr.train.batches import Batch, network_batch
from dextr.train.loss import balanced_binary_cross_entropy


@dataclass
class Trainer:
    """A net and its optimiser.

    Attributes:
        net: on `device`; gives a dict whose `out` is trained. May be wrapped or compiled.
        optimizer: of the net's parameters.
        scheduler: of the optimiser's rates, stepped once per iteration; None for constant rates.
        device: where the batches go.
        seed: torch's random numbers in an iteration, e.g. for dropout, follow from it and the iteration alone.
        amp: the type that the net computes in where that is safe (autocast); None for float32 throughout.
        iteration: steps of the optimiser so far.
    """

    net: nn.Module
    optimizer: Optimizer
    scheduler: LRScheduler | None
    device: torch.device
    seed: int = 0
    amp: torch.dtype | None = None
    iteration: int = 0
    _scaler: GradScaler = field(init=False)

    def __post_init__(self) -> None:
        # Gradients in float16 underflow unless they are scaled; see Micikevicius et al., "Mixed precision training".
        self._scaler = GradScaler(self.device.type, enabled=self.amp == torch.float16)

    def step(self, batches: Sequence[Batch]) -> torch.Tensor:
        """One step on the mean gradient of one or more batches of equal size; their mean loss, a detached scalar."""
        torch.manual_seed(hash((self.seed, self.iteration)) & 0x7FFFFFFFFFFFFFFF)
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=self.device)
        for batch in batches:
            with self._gradients_stay_here(batch is not batches[-1]):
                loss = self._loss(batch) / len(batches)
                torch.autograd.backward(self._scaler.scale(loss))
            total += loss.detach()
        self._scaler.step(self.optimizer)
        self._scaler.update()
        if self.scheduler is not None:
            self.scheduler.step()
        self.iteration += 1
        return total

    def state_dict(self) -> dict[str, Any]:
        """All that a training needs to go on, but for the weights: plain values and tensors."""
        return {
            "iteration": self.iteration,
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "scaler": self._scaler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`, with the same optimiser and schedule."""
        self.iteration = state["iteration"]
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scheduler is not None:
            self.scheduler.load_state_dict(state["scheduler"])
        self._scaler.load_state_dict(state["scaler"])

    def _loss(self, batch: Batch) -> torch.Tensor:
        inputs, target = network_batch(batch, self.device, "max")
        with torch.autocast(self.device.type, self.amp, enabled=self.amp is not None):
            logits = self.net(inputs)["out"]
        return balanced_binary_cross_entropy(logits.float(), target)

    def _gradients_stay_here(self, so: bool) -> AbstractContextManager[None]:
        """Processes exchange gradients with the last batch of a step only."""
        return self.net.no_sync() if so and isinstance(self.net, DistributedDataParallel) else nullcontext()
