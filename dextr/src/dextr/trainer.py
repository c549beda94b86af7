"""One step, and one epoch, of training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from dextr.loss import balanced_binary_cross_entropy
from dextr.training_data import Batch


@dataclass
class Trainer:
    """A net and what changes it.

    Attributes:
        net: on `device`; gives a dict whose `out` is trained.
        optimizer: of the net's parameters.
        scheduler: of the optimiser's rates, stepped once per iteration; None for constant rates.
        device: where the batches go.
    """

    net: nn.Module
    optimizer: Optimizer
    scheduler: LRScheduler | None
    device: torch.device

    def epoch(self, batches: Iterable[Batch]) -> float:
        """Train on every batch in training mode; the mean of their losses."""
        self.net.train()
        # As tensors, so that no step waits for the device.
        losses = [self.step(batch) for batch in batches]
        return torch.stack(losses).mean().item()

    def step(self, batch: Batch) -> torch.Tensor:
        """Train on one batch, `input` (N, 4, h, w) and `target_mask` (N, 1, h, w); its loss, a detached scalar."""
        inputs = batch["input"].to(self.device, non_blocking=True)
        target = batch["target_mask"].to(self.device, non_blocking=True)
        self.optimizer.zero_grad(set_to_none=True)
        loss = balanced_binary_cross_entropy(self.net(inputs)["out"], target)
        torch.autograd.backward(loss)
        self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()
        return loss.detach()
