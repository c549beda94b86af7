"""Training: the config with the flags' changes, its checks, and MMEngine's runner."""

from __future__ import annotations

import os
import re
from pathlib import Path

import torch
from mmdet.utils import setup_cache_size_limit_of_dynamo
from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from maskworks.commands.run import say
from maskworks.errors import ConfigError, DeviceError
from maskworks_mmdet.checkpoints import guarded
from maskworks_mmdet.class_names import from_environment
from maskworks_mmdet.configs import find_config, merge_options, read_config
from maskworks_mmdet.operators import MISSING, missing_operator
from maskworks_mmdet.repairs import repair
from maskworks_mmdet.train_config import TrainConfig
from maskworks_mmdet.training_data import check_classes, name_classes
from maskworks_mmdet.training_images import UnreadableImage, read_as_predicted
from maskworks_mmdet.training_log import Harmless
from maskworks_mmdet.training_settings import fit_settings


def train(flags: TrainConfig) -> None:
    """Trains as the flags say.

    Raises:
        ConfigError: something in flags, config or data would make the training fail or learn the wrong thing.
        CheckpointError: the config cannot be read.
        UnsafeCheckpoint: a checkpoint to start from, or a teacher's, can only be loaded by running code from it.
        DeviceError: an operator of the model does not run on this device.
    """
    config = prepare(flags)
    read_as_predicted(config)
    setup_cache_size_limit_of_dynamo()
    try:
        with guarded(f"{flags.config}: a checkpoint that the model loads", unsafe=flags.unsafe_load):
            runner = RUNNERS.build(config) if "runner_type" in config else Runner.from_cfg(config)
        if not flags.unsafe_load:
            runner.register_hook(Harmless())
        url = f": {config.load_from}" if "://" in str(config.get("load_from")) else ""
        with guarded(f"the checkpoint to start from{url}", unsafe=flags.unsafe_load):
            runner.train()
    except (UnreadableImage, FileNotFoundError) as error:  # the text may be the traceback of another process
        last = str(error).strip().splitlines()[-1]
        kind = f"{UnreadableImage.__module__}.{UnreadableImage.__name__}: "
        raise ConfigError([last.removeprefix(kind).removeprefix("FileNotFoundError: ")]) from None
    except RuntimeError as error:
        missing = MISSING.search(str(error))
        if missing is None:
            raise
        raise DeviceError(missing_operator(*missing.groups())) from None


def prepare(flags: TrainConfig) -> Config:
    """The config with the changes of flags and MMDET_CLASSES, checked."""
    path = find_config(flags.config)
    config = read_config(path)
    config.launcher = flags.launcher
    merge_options(config, flags.cfg_options)
    repair(config, alone=flags.launcher == "none")
    _set_work_dir(config, flags.work_dir, path)
    if flags.amp:
        if not torch.cuda.is_available():
            raise ConfigError(["--amp: needs a GPU, and there is none; leave it out"])
        config.optim_wrapper.type = "AmpOptimWrapper"
        config.optim_wrapper.loss_scale = "dynamic"
    if flags.auto_scale_lr:
        if "base_batch_size" not in config.get("auto_scale_lr", {}):
            raise ConfigError(["--auto-scale-lr: the config has no auto_scale_lr.base_batch_size; set it there"])
        config.auto_scale_lr.enable = True
    _set_resume(config, flags.resume)
    names = from_environment()
    if names is not None:
        name_classes(config, names)
    check_classes(config)
    fit_settings(config)
    return config


def _set_work_dir(config: Config, work_dir: Path | None, path: Path) -> None:
    """--work-dir, else the config's own, else a folder named after the config; it is created to see that it can be."""
    if work_dir is not None:
        config.work_dir = str(work_dir)
    elif config.get("work_dir") is None:
        config.work_dir = str(Path("work_dirs") / path.stem)
        say(f"logs and checkpoints go to {config.work_dir}; --work-dir sets another folder")
    try:
        Path(config.work_dir).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            [f"--work-dir: {config.work_dir}: {error.strerror}; choose a folder you can write to"]
        ) from None
    if not os.access(config.work_dir, os.W_OK | os.X_OK):
        raise ConfigError([f"--work-dir: no permission to write in {config.work_dir}; choose another folder"])


def _set_resume(config: Config, resume: str | None) -> None:
    if resume is None:
        return
    config.resume = True
    config.load_from = None if resume == "auto" else resume
    if resume != "auto" and not re.match(r"\w+://", resume) and not Path(resume).is_file():
        raise ConfigError([f"--resume: {resume} is not a file; correct the path"])
