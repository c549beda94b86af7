"""The training, from top to bottom."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import torch
from tqdm import tqdm

from dextr.errors import TrainingError
from dextr.train import training_state
from dextr.train.config import TrainConfig
from dextr.train.curves import Curves, EpochFigures
from dextr.train.job_log import JobLog
from dextr.train.preparation import Prepared, prepare
from dextr.train.processes import Processes
from dextr.train.validation import Validation
from maskworks_torch.training.interruption import Interrupted, Interruption

_SHOW_LOSS_EVERY_S = 1.0


def run(config: TrainConfig, models: Mapping[str, Path]) -> int:
    """Train; the exit code, 0 or 128 + the number of the signal that stopped it.

    Raises:
        DextrError: as `__main__.main` lists them.
    """
    # With fp16 the first steps may be left out, as the scale of the gradients is still sought.
    warnings.filterwarnings("ignore", r"Detected call of `lr_scheduler\.step\(\)` before", UserWarning)
    with (
        Interruption() as interruption,
        Processes.joined(config.device) as processes,
        JobLog(config.files.log if processes.is_first else None) as log,
    ):
        return _trained(config, models, processes, interruption, log)


def _trained(
    config: TrainConfig, models: Mapping[str, Path], processes: Processes, interruption: Interruption, log: JobLog
) -> int:
    for line in ("Settings:", *config.lines()):
        log(line)
    if processes.count > 1:
        own = config.batch_size // processes.count
        log(f"{processes.count} processes, each with {own} of the {config.batch_size} samples of a batch")
    prepared = prepare(config, models, processes, log)
    log.keep()
    try:
        Training(config, prepared, processes, interruption, log).run()
    except Interrupted as stop:
        log(f"{stop}; --resume goes on from there")
        return 128 + stop.signal
    return 0


class Training:
    """The epochs of a training, in one of its processes."""

    def __init__(
        self, config: TrainConfig, prepared: Prepared, processes: Processes, interruption: Interruption, log: JobLog
    ) -> None:
        self.config, self.processes, self.interruption, self.log = config, processes, interruption, log
        self.model, self.state, self.trainer = prepared.model, prepared.state, prepared.trainer
        self.batches, self.steps, self.validator = prepared.batches, prepared.steps_per_epoch, prepared.validator
        self.samples = config.batch_size * config.accumulate  # in a step

    def run(self) -> None:
        """All epochs that are left."""
        state, epochs = self.state, self.config.num_epochs
        self.log("Training..." if self.trainer.iteration == 0 else f"Going on after step {self.trainer.iteration}...")
        curves = Curves(self.config.files, state.epoch) if self.processes.is_first else None
        with self.progress_bar() as bar:
            while state.epoch < epochs and not self.is_patience_over():
                bar.set_description(f"Epoch {state.epoch + 1}/{epochs}", refresh=False)
                figures, validation = self.epoch(bar)
                if curves is not None:
                    curves.add(figures)
                if validation is not None and state.is_best(validation.miou) and self.processes.is_first:
                    training_state.save_best(self.config.files, self.model)
                state.epoch, state.losses = state.epoch + 1, []
                self.save()
        if curves is not None:
            curves.close()
        self.log(self.outcome())

    def epoch(self, bar: tqdm[None]) -> tuple[EpochFigures, Validation | None]:
        """The steps that are left of an epoch, then its validation if that is due."""
        number, start = self.state.epoch + 1, time.perf_counter()
        due = self.validator is not None and number % self.config.val_every_n_epochs == 0
        at_the_end = self.validator is not None and number == self.config.num_epochs and not due
        losses = [torch.tensor(loss) for loss in self.state.losses]
        missing = self.steps - len(losses)
        self.train(losses, bar)
        rate = missing * self.samples / (time.perf_counter() - start)
        self.state.losses = self.shared(losses)
        loss = torch.tensor(self.state.losses).mean().item()
        validation = self.validate() if due else None
        seconds = time.perf_counter() - start
        found = "" if validation is None else f", {validation}"
        self.log(f"Epoch {number} took {seconds:.3f}s: loss={loss:.6f}{found}")
        if at_the_end:
            validation = self.validate()
            self.log(f"FINAL: {validation}")
        pretrained_rate, new_rate = (group["lr"] for group in self.trainer.optimizer.param_groups)
        figures = EpochFigures(
            number, self.trainer.iteration, loss, new_rate, pretrained_rate, seconds, rate,
            *((validation.loss, validation.miou) if validation is not None else ()),
        )  # fmt: skip
        return figures, validation

    def train(self, losses: list[torch.Tensor], bar: tqdm[None]) -> None:
        """Step until there are as many losses as an epoch has steps."""
        self.trainer.net.train()
        shown = 0.0
        while len(losses) < self.steps:
            if signal := self.processes.highest(self.interruption.signal):
                self.state.losses = self.shared(losses)
                self.save()
                place = f"epoch {self.state.epoch + 1} after step {len(losses)} of {self.steps}"
                raise Interrupted(f"Stopped in {place}", signal)
            losses.append(self.trainer.step(list(islice(self.batches, self.config.accumulate))))
            bar.update(self.samples)
            if not bar.disable and time.monotonic() - shown > _SHOW_LOSS_EVERY_S:
                # Asking for the loss waits for the device.
                bar.set_postfix(loss=f"{losses[-1].item():.4f}", refresh=False)
                shown = time.monotonic()
        self.model.eval()

    def validate(self) -> Validation:
        """Validate; the training can be stopped in the midst of it, and would come back to its beginning."""
        assert self.validator is not None
        self.save()
        return self.validator.run(self.model, self.stop_validation_if_asked)

    def stop_validation_if_asked(self) -> None:
        """Processes that validate do not wait for each other, so only one alone can stop."""
        if self.processes.count == 1 and (signal := self.interruption.signal):
            raise Interrupted(f"Stopped in the validation of epoch {self.state.epoch + 1}", signal)

    def shared(self, losses: list[torch.Tensor]) -> list[float]:
        """The losses of the steps, as the mean of all processes.

        Raises:
            TrainingError: one is not finite.
        """
        if not losses:
            return []
        values: list[float] = self.processes.mean(torch.stack([loss.cpu() for loss in losses])).tolist()
        if not all(map(math.isfinite, values)):
            step = next(index for index, value in enumerate(values) if not math.isfinite(value))
            raise TrainingError(
                f"the loss became {values[step]} in step {step + 1} of epoch {self.state.epoch + 1}; the checkpoint "
                "before, if there is one, is kept: try a lower --learning_rate in a new job"
            )
        return values

    def save(self) -> None:
        """Write the checkpoint."""
        if self.processes.is_first:
            training_state.save(self.config.files, self.model, self.trainer, self.state)

    def is_patience_over(self) -> bool:
        """Whether too many validations came without a better mIoU."""
        patience = self.config.patience
        return patience is not None and self.state.validations_since_best >= patience

    def progress_bar(self) -> tqdm[None]:
        """A bar over all epochs, on a terminal: images, rate, time left."""
        return tqdm(
            total=self.steps * self.config.num_epochs * self.samples,
            initial=self.trainer.iteration * self.samples,
            unit="img",
            dynamic_ncols=True,
            smoothing=0.05,
            disable=None if self.processes.is_first else True,
        )

    def outcome(self) -> str:
        """What there is in the end."""
        state, files = self.state, self.config.files
        end = f"Stopped early after epoch {state.epoch}" if self.is_patience_over() else "Done"
        best = f"; best {files.best} (mIoU {state.best_miou:.3%}, epoch {state.best_epoch})" if state.best_epoch else ""
        return f"{end}: model {files.checkpoint}{best}"
