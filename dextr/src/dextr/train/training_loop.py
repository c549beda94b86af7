"""The original's function that trains a model: a front of `epoch_loop` without files, signals or processes."""

from __future__ import annotations

from collections.abc import Callable

import torch

from dextr.dextr_model import DextrModel
from dextr.lr_schedules import ScheduleType, make_lr_scheduler
from dextr.train.batches import (
    DatasetFactory,
    training_batches,
    training_set,
    validation_batches,
    validation_set,
    validation_truth,
)
from dextr.train.epoch_loop import Callbacks, EpochLoop, steps_of_an_epoch
from dextr.train.optimizers import OptimizerType, make_optimizer, parameter_groups
from dextr.train.trainer import Trainer
from dextr.train.validation import Validation, validate


def training_loop(
    model: DextrModel,
    train_ds_fn: DatasetFactory,
    val_ds_fn: DatasetFactory | None,
    val_truth_ds_fn: DatasetFactory | None,
    extreme_range: int,
    noise_std: float,
    learning_rate: float,
    pretrained_lr_factor: float,
    new_lr_factor: float,
    lr_sched: ScheduleType,
    lr_poly_power: float,
    opt_type: OptimizerType,
    sgd_weight_decay: float,
    aug_hflip: bool,
    aug_rot_range: float,
    batch_size: int,
    iters_per_epoch: int,
    num_epochs: int,
    val_every_n_epochs: int,
    torch_device: str | torch.device,
    num_workers: int,
    verbose: bool,
    on_epoch_finished: Callable[[int, DextrModel], object] | None = None,
    *,
    seed: int | None = None,
    log: Callable[[str], object] = print,
    on_validation: Callable[[int, Validation], object] | None = None,
) -> None:
    """Train the model's net in place; it ends on `torch_device` and in evaluation mode.

    Args:
        model: its target size, padding and blob sigma are those of the training.
        train_ds_fn: called with the keyword `transform`, gives the training set; see `DextrDataset`.
        val_ds_fn: likewise for the validation set; None for no validation.
        val_truth_ds_fn: called without arguments, gives the validation set in the same order and without a transform;
            images are not needed. None for no validation.
        extreme_range, noise_std: of the extreme points in training; see `DextrTrainingTransform`.
        learning_rate, pretrained_lr_factor, new_lr_factor: see `parameter_groups`.
        lr_sched, lr_poly_power: see `make_lr_scheduler`; the rates change with every iteration.
        opt_type, sgd_weight_decay: see `make_optimizer`.
        aug_hflip: mirror half of the samples.
        aug_rot_range: rotate by up to this angle, in degrees.
        batch_size: samples per iteration; see `training_batches`.
        iters_per_epoch: iterations in an epoch; -1 for as many full batches as the training set has, at least one.
        num_epochs: number of epochs.
        val_every_n_epochs: validate after every so many epochs, and at the end.
        torch_device: where to train.
        num_workers: processes that prepare samples; 0 prepares them in this one.
        verbose: log the sizes of the data sets and a line per epoch.
        on_epoch_finished: called after each epoch and its validation with the number of the epoch, from 0, and the
            model, in evaluation mode.
        seed: repeats shuffles, augmentation and torch's random numbers; None takes one from torch's generator.
        log: takes the lines.
        on_validation: called after each validation with the number of the epoch, from 0, and the result.

    Raises:
        ValueError: a data set has no objects, a count is out of range, or a name is unknown.
    """
    _check_counts(batch_size, iters_per_epoch, num_epochs, val_every_n_epochs)
    say = log if verbose else _say_nothing
    device = torch.device(torch_device)
    pin_memory = device.type == "cuda"
    seed = int(torch.randint(1 << 62, ()).item()) if seed is None else seed

    say("Dataset:")
    train_ds = training_set(
        train_ds_fn,
        model.crop_settings,
        extreme_range=extreme_range,
        noise_std=noise_std,
        hflip=aug_hflip,
        rot_range=aug_rot_range,
        seed=seed,
    )
    say(f"len(train_ds)={len(train_ds)}")
    validation: Callable[[int], Validation] | None = None
    if val_ds_fn is not None and val_truth_ds_fn is not None:
        val_ds = validation_set(val_ds_fn, model.crop_settings, extreme_range)
        say(f"len(val_ds)={len(val_ds)}")
        val_batches = validation_batches(val_ds, batch_size, num_workers, pin_memory)
        truth = validation_truth(val_truth_ds_fn, val_ds)

        def validation(epoch: int) -> Validation:
            result = validate(model.net, val_batches, truth, device).mean()
            if on_validation is not None:
                on_validation(epoch, result)
            return result

    model.to(device)
    groups = parameter_groups(model.net, learning_rate, pretrained_lr_factor, new_lr_factor)
    optimizer = make_optimizer(opt_type, groups, sgd_weight_decay)
    steps = steps_of_an_epoch(iters_per_epoch, len(train_ds), batch_size)
    scheduler = make_lr_scheduler(optimizer, steps * num_epochs, lr_sched, lr_poly_power)
    trainer = Trainer(model.net, optimizer, scheduler, device, seed)
    batches = iter(training_batches(train_ds, batch_size, num_workers, pin_memory))
    callbacks = Callbacks() if on_epoch_finished is None else _AfterEachEpoch(model, on_epoch_finished)
    loop = EpochLoop(
        model, trainer, batches, steps, num_epochs, val_every_n_epochs, validation, log=say, callbacks=callbacks
    )
    say("Training...")
    loop.run()


class _AfterEachEpoch(Callbacks):
    """Calls a function, which may leave the model in either mode."""

    def __init__(self, model: DextrModel, function: Callable[[int, DextrModel], object]) -> None:
        self.model, self.function = model, function

    def on_epoch_logged(self, loop: EpochLoop) -> None:
        self.function(loop.epoch, self.model)
        self.model.eval()


def _check_counts(batch_size: int, iters_per_epoch: int, num_epochs: int, val_every_n_epochs: int) -> None:
    counts = {"batch_size": batch_size, "num_epochs": num_epochs, "val_every_n_epochs": val_every_n_epochs}
    if iters_per_epoch != -1:
        counts["iters_per_epoch"] = iters_per_epoch
    wrong = [f"{name} is {value}" for name, value in counts.items() if value < 1]
    if wrong:
        raise ValueError(f"{', '.join(wrong)}; expected at least 1 (iters_per_epoch may also be -1)")


def _say_nothing(_: str) -> None:
    """The log of a training that is not verbose."""
