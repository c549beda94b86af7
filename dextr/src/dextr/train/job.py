"""A job of `dextr_train`, from top to bottom."""

from __future__ import annotations

import math
import time
import traceback
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from tqdm import tqdm

from dextr.errors import TrainingError
from dextr.train import training_state
from dextr.train.config import TrainConfig
from dextr.train.curves import Curves, EpochFigures
from dextr.train.epoch_loop import Callbacks, EpochLoop, EpochResult
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
    warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)  # as many as --num_workers says
    warnings.filterwarnings("ignore", r"Detected call of `lr_scheduler\.step\(\)` before", UserWarning)
    with (
        Interruption() as interruption,
        Processes.joined(config.device) as processes,
        JobLog(config.files.log if processes.is_first else None) as log,
    ):
        try:
            return _trained(config, models, processes, interruption, log)
        except Exception as error:
            # Python could not end while the frames keep the workers of the batches: those ignore SIGTERM.
            traceback.clear_frames(error.__traceback__)
            raise


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
        Job(config, prepared, processes, interruption, log).run()
    except Interrupted as stop:
        log(f"{stop}; --resume goes on from there")
        return 128 + stop.signal
    return 0


class Job(Callbacks):
    """The epochs of a job, in one of its processes: files, terminal, and state for --resume."""

    def __init__(
        self, config: TrainConfig, prepared: Prepared, processes: Processes, interruption: Interruption, log: JobLog
    ) -> None:
        self.config, self.processes, self.interruption, self.log = config, processes, interruption, log
        self.model, self.state, self.trainer = prepared.model, prepared.state, prepared.trainer
        self.batches, self.steps, self.validation = prepared.batches, prepared.steps_per_epoch, prepared.validation
        self.samples = config.batch_size * config.accumulate  # in a step
        self.curves: Curves | None = None
        self._loss_shown = 0.0

    def run(self) -> None:
        """All epochs that are left."""
        self.log("Training..." if self.trainer.iteration == 0 else f"Going on after step {self.trainer.iteration}...")
        if self.processes.is_first:
            self.curves = Curves(self.config.files, self.state.epoch)
        with self.progress_bar() as self.bar:
            self.epoch_loop().run()
        if self.curves is not None:
            self.curves.close()
        self.log(self.outcome())

    def epoch_loop(self) -> EpochLoop:
        """The loop, from where the state is."""
        return EpochLoop(
            self.model,
            self.trainer,
            self.batches,
            self.steps,
            self.config.num_epochs,
            self.config.val_every_n_epochs,
            None if self.validation is None else self.validate,
            log=self.log,
            callbacks=self,
            batches_per_step=self.config.accumulate,
            epoch=self.state.epoch,
            losses=[torch.tensor(loss) for loss in self.state.losses],
        )

    def is_over(self) -> bool:
        """True if too many validations came without a better mIoU."""
        patience = self.config.patience
        return patience is not None and self.state.validations_since_best >= patience

    def on_step_begin(self, loop: EpochLoop) -> None:
        """Stop here if a signal came."""
        self.bar.set_description(f"Epoch {loop.epoch + 1}/{loop.num_epochs}", refresh=False)
        if signal := self.processes.highest(self.interruption.signal):
            self.note_losses(loop.losses)
            self.save()
            place = f"epoch {loop.epoch + 1} after step {len(loop.losses)} of {loop.steps_per_epoch}"
            raise Interrupted(f"Stopped in {place}", signal)

    def on_step_end(self, loop: EpochLoop) -> None:
        """Move the progress bar."""
        self.bar.update(self.samples)
        if not self.bar.disable and time.monotonic() - self._loss_shown > _SHOW_LOSS_EVERY_S:
            # Asking for the loss waits for the device.
            self.bar.set_postfix(loss=f"{loop.losses[-1].item():.4f}", refresh=False)
            self._loss_shown = time.monotonic()

    def on_steps_end(self, loop: EpochLoop) -> None:
        """Share the losses; from here on the processes agree on them."""
        self.note_losses(loop.losses)
        loop.losses = [torch.tensor(loss) for loss in self.state.losses]

    def on_epoch_end(self, loop: EpochLoop, result: EpochResult) -> None:
        """Write the curves, the model if it is the best so far, and the checkpoint."""
        validation = result.validation
        if self.curves is not None:
            pretrained_rate, new_rate = (group["lr"] for group in self.trainer.optimizer.param_groups)
            self.curves.add(
                EpochFigures(
                    result.number, self.trainer.iteration, result.loss, new_rate, pretrained_rate, result.seconds,
                    result.steps_per_second * self.samples,
                    *((validation.loss, validation.miou) if validation is not None else ()),
                )
            )  # fmt: skip
        if validation is not None and self.state.is_best(validation.miou) and self.processes.is_first:
            training_state.save_best(self.config.files, self.model)
        self.state.epoch, self.state.losses = loop.epoch, []
        self.save()

    def validate(self, _: int) -> Validation:
        """Validate; the training can be stopped in the midst of it, and would come back to its beginning."""
        assert self.validation is not None
        self.save()
        return self.validation.run(self.model, self.stop_validation_if_asked)

    def stop_validation_if_asked(self) -> None:
        """Processes that validate do not wait for each other, so only one alone can stop."""
        if self.processes.count == 1 and (signal := self.interruption.signal):
            raise Interrupted(f"Stopped in the validation of epoch {self.state.epoch + 1}", signal)

    def note_losses(self, losses: list[torch.Tensor]) -> None:
        """Bring the losses of the epoch's steps, as the mean of all processes, into the state.

        Raises:
            TrainingError: one is not finite.
        """
        values: list[float] = []
        if losses:
            values = self.processes.mean(torch.stack([loss.cpu() for loss in losses])).tolist()
        if not all(map(math.isfinite, values)):
            step = next(index for index, value in enumerate(values) if not math.isfinite(value))
            raise TrainingError(
                f"the loss became {values[step]} in step {step + 1} of epoch {self.state.epoch + 1}; the checkpoint "
                "before, if there is one, is kept: try a lower --learning_rate in a new job"
            )
        self.state.losses = values

    def save(self) -> None:
        """Write the checkpoint."""
        if self.processes.is_first:
            training_state.save(self.config.files, self.model, self.trainer, self.state)

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
        """Last messages: the best validation and the files."""
        state, files = self.state, self.config.files
        end = f"Stopped early after epoch {state.epoch}" if self.is_over() else "Done"
        best = f"; best {files.best} (mIoU {state.best_miou:.3%}, epoch {state.best_epoch})" if state.best_epoch else ""
        return f"{end}: model {files.checkpoint}{best}"
