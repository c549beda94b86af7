"""Model, trainer and batches of a training, made from its settings or from its checkpoint."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from dextr import architectures
from dextr.dextr_model import DextrModel
from dextr.errors import DataError
from dextr.lr_schedules import make_lr_scheduler
from dextr.train import training_state
from dextr.train.batches import Batch, training_batches, training_set
from dextr.train.config import SEED_BITS, TrainConfig
from dextr.train.epoch_loop import steps_of_an_epoch
from dextr.train.job_log import Say
from dextr.train.job_validation import JobValidation
from dextr.train.object_sets import ObjectSets, find_objects
from dextr.train.optimizers import make_optimizer, parameter_groups
from dextr.train.processes import Processes
from dextr.train.starting_model import starting_model
from dextr.train.trainer import Trainer
from dextr.train.training_state import Resumed, TrainingState
from maskworks_torch.device import dtype_of


@dataclass(frozen=True)
class Prepared:
    """A training in one of its processes, ready to run.

    Attributes:
        model: on the process's device; the trainer trains its net.
        state: where the training is.
        trainer: takes the steps.
        batches: those of this process, from where the training is.
        steps_per_epoch: steps of the optimiser.
        validation: None if there is nothing to validate on.
    """

    model: DextrModel
    state: TrainingState
    trainer: Trainer
    batches: Iterator[Batch]
    steps_per_epoch: int
    validation: JobValidation | None


def prepare(config: TrainConfig, models: Mapping[str, Path], processes: Processes, say: Say) -> Prepared:
    """Find the objects, load or make the model, and see to it that all fits and there is room.

    Raises:
        DextrError: as `__main__.main` lists them.
    """
    if processes.device.type == "cpu" and config.amp == "fp16":
        raise DataError("--amp fp16: is for GPUs; on a CPU take bf16 or off")
    seed, resumed = processes.from_first(lambda: _beginning(config, say))
    objects = processes.from_first(lambda: find_objects(config, say))
    if resumed is None:
        torch.manual_seed(seed)
        # The other processes get the weights of the first.
        own = config if processes.is_first else replace(config, backbone_weights="none")
        model, state = starting_model(own, models, say), TrainingState(seed, config.fixed(), objects.digest())
    else:
        model, state = DextrModel.from_checkpoint(resumed.model), resumed.state
        training_state.check_same(state, config.fixed(), objects.digest())
    for problem in config.share_problems(architectures.name_of(model.net), processes.count):
        raise DataError(problem)
    processes.from_first(lambda: training_state.check_room(config.files, model.net, config.opt_type))
    model.net.to(processes.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing there

    samples = config.batch_size * config.accumulate
    steps = steps_of_an_epoch(config.iters_per_epoch, len(objects.training), samples)
    trainer = _trainer(config, processes, model, seed, steps * config.num_epochs)
    if resumed is not None:
        trainer.load_state_dict(resumed.trainer)
    batches = _batches(config, processes, objects, model, seed, trainer.iteration * samples)
    valid = objects.validation
    validation = None if valid is None else JobValidation(valid, config, processes, trainer.amp)
    return Prepared(model, state, trainer, batches, steps, validation)


def _beginning(config: TrainConfig, say: Say) -> tuple[int, Resumed | None]:
    """The seed, and the checkpoint to go on from."""
    if config.resume:
        path = config.files.checkpoint
        if path.exists():
            resumed = training_state.load(path)
            return resumed.state.seed, resumed
        say(f"--resume: there is no {path} yet; beginning anew")
    seed = random.SystemRandom().getrandbits(SEED_BITS) if config.seed is None else config.seed
    say(f"Seed: {seed}")
    return seed, None


def _trainer(config: TrainConfig, processes: Processes, model: DextrModel, seed: int, total_steps: int) -> Trainer:
    new_lr_factor = 1.0 if config.load_model is None else config.pretrained_lr_factor
    groups = parameter_groups(model.net, config.learning_rate, config.pretrained_lr_factor, new_lr_factor)
    optimizer = make_optimizer(config.opt_type, groups, config.sgd_weight_decay)
    scheduler = make_lr_scheduler(optimizer, total_steps, config.lr_sched, config.lr_poly_power)
    net = processes.share(model.net)
    if config.compile:
        net.compile()
    amp = None if config.amp == "off" else dtype_of(config.amp)
    return Trainer(net, optimizer, scheduler, processes.device, seed + processes.rank, amp)


def _batches(
    config: TrainConfig, processes: Processes, objects: ObjectSets, model: DextrModel, seed: int, place: int
) -> Iterator[Batch]:
    dataset = training_set(
        objects.training.view,
        model.crop_settings,
        extreme_range=config.extreme_range,
        noise_std=config.noise_std,
        hflip=config.aug_hflip,
        rot_range=config.aug_rot_range,
        seed=seed,
        whole_pixels=config.whole_pixels,
    )
    own, on_gpu = config.batch_size // processes.count, processes.device.type == "cuda"
    first = place + processes.rank
    return iter(training_batches(dataset, own, config.workers, on_gpu, first=first, stride=processes.count))
