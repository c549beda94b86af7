"""The epochs of a training: the steps of each, its line in the log, and the validations that are due."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import torch

from dextr.dextr_model import DextrModel
from dextr.train.batches import Batch
from dextr.train.trainer import Trainer
from dextr.train.validation import Validation


@dataclass(frozen=True)
class EpochResult:
    """The outcome of an epoch.

    Attributes:
        number: of the epoch, from 1.
        loss: mean over its steps.
        seconds: of its steps and the validation that its line names.
        steps_per_second: of those that were taken now, and not before the training was interrupted.
        validation: the last one in this epoch; None if none was due.
    """

    number: int
    loss: float
    seconds: float
    steps_per_second: float
    validation: Validation | None


class Callbacks:
    """Hooks of an epoch loop; those of this class do nothing.

    Each is given the loop. None may keep it: in a circle of references the workers of its batches would outlive it.
    """

    def is_over(self) -> bool:
        """True to end before the next epoch."""
        return False

    def on_step_begin(self, loop: EpochLoop) -> None:
        """A step is about to be taken."""

    def on_step_end(self, loop: EpochLoop) -> None:
        """A step was taken; its loss is the last one."""

    def on_steps_end(self, loop: EpochLoop) -> None:
        """All steps of the epoch were taken."""

    def on_epoch_logged(self, loop: EpochLoop) -> None:
        """The line of the epoch was logged; the validation after the last epoch is yet to come."""

    def on_epoch_end(self, loop: EpochLoop, result: EpochResult) -> None:
        """The epoch is done, its validations included."""


@dataclass
class EpochLoop:
    """Trains the epochs that are left. Between their steps the net is in evaluation mode.

    Attributes:
        model: the trainer trains its net.
        trainer: takes the steps.
        batches: without end.
        steps_per_epoch: steps of the optimiser.
        num_epochs: epochs of the whole training.
        val_every_n_epochs: a validation is due after every so many epochs, and at the end.
        validate: given the epoch, from 0; None if there is nothing to validate on.
        log: takes a line per epoch, and one of a validation at the end.
        callbacks: see there.
        batches_per_step: a step is taken on the mean gradient of so many.
        epoch: epochs that are done.
        losses: of the steps in the epoch that is not done, scalars.
    """

    model: DextrModel
    trainer: Trainer
    batches: Iterator[Batch]
    steps_per_epoch: int
    num_epochs: int
    val_every_n_epochs: int
    validate: Callable[[int], Validation] | None
    log: Callable[[str], object]
    callbacks: Callbacks
    batches_per_step: int = 1
    epoch: int = 0
    losses: list[torch.Tensor] = field(default_factory=list)

    def run(self) -> None:
        """Train until the last epoch is done or the callbacks end it."""
        while self.epoch < self.num_epochs and not self.callbacks.is_over():
            result = self._run_epoch()
            self.epoch, self.losses = self.epoch + 1, []
            self.callbacks.on_epoch_end(self, result)

    def _run_epoch(self) -> EpochResult:
        number, start, missing = self.epoch + 1, time.perf_counter(), self.steps_per_epoch - len(self.losses)
        due = number % self.val_every_n_epochs == 0
        self._take_steps()
        rate = missing / (time.perf_counter() - start)
        loss = torch.stack([loss.cpu() for loss in self.losses]).mean().item()
        validation = self.validate(self.epoch) if self.validate is not None and due else None
        seconds = time.perf_counter() - start
        found = "" if validation is None else f", {validation}"
        self.log(f"Epoch {number} took {seconds:.3f}s: loss={loss:.6f}{found}")
        self.callbacks.on_epoch_logged(self)
        if self.validate is not None and number == self.num_epochs and not due:
            validation = self.validate(self.epoch)
            self.log(f"FINAL: {validation}")
        return EpochResult(number, loss, seconds, rate, validation)

    def _take_steps(self) -> None:
        self.trainer.net.train()
        while len(self.losses) < self.steps_per_epoch:
            self.callbacks.on_step_begin(self)
            # As tensors, so that no step waits for the device.
            self.losses.append(self.trainer.step(list(islice(self.batches, self.batches_per_step))))
            self.callbacks.on_step_end(self)
        self.model.eval()
        self.callbacks.on_steps_end(self)


def steps_of_an_epoch(iters_per_epoch: int, objects: int, samples_per_step: int) -> int:
    """The steps that `iters_per_epoch` asks for; -1: as many full ones as there are objects for, at least one."""
    return max(objects // samples_per_step, 1) if iters_per_epoch == -1 else iters_per_epoch
