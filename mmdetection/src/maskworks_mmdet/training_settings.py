"""Settings of a training that would fail, or only be remarked on, on this machine or with these classes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper

from maskworks.commands.run import say
from maskworks.errors import ConfigError
from maskworks_mmdet.configs import stock_configs
from maskworks_mmdet.repairs import parts

_LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")
_MIXED = ("loss_scale", "dtype", "use_fsdp")  # settings of mixed precision alone

_LOGS = {
    "TensorboardVisBackend": "tensorboard", "WandbVisBackend": "wandb", "MLflowVisBackend": "mlflow",
    "ClearMLVisBackend": "clearml", "NeptuneVisBackend": "neptune", "DVCLiveVisBackend": "dvclive",
    "AimVisBackend": "aim",
}  # fmt: skip


def fit_settings(config: Config) -> None:
    """Changes what can only be meant in one way, and says so.

    Raises:
        ConfigError: weights of classes are not as many as the classes, and can be meant in several ways; or the log is
            to go where a package is missing.
    """
    _without_mixed_precision(config)
    _fit_workers(config)
    _find_teacher(config)
    problems = [*_fit_class_weights(config.model, "model"), *_missing_logs(config)]
    if problems:
        raise ConfigError(problems)


def _without_mixed_precision(config: Config) -> None:
    """Mixed precision is for GPUs; on a CPU MMEngine refuses it."""
    wrapper = config.get("optim_wrapper") or {}
    if wrapper.get("type") in ("AmpOptimWrapper", AmpOptimWrapper) and not torch.cuda.is_available():
        say("the config asks for mixed precision, which needs a GPU; training in float32")
        wrapper["type"] = "OptimWrapper"
        for key in _MIXED:
            wrapper.pop(key, None)


def _fit_workers(config: Config) -> None:
    """No more processes than cores, which torch warns of as slow, and nothing that torch refuses without processes."""
    cores = len(os.sched_getaffinity(0))
    for loader in (config[name] for name in _LOADERS if config.get(name)):
        loader["num_workers"] = min(loader.get("num_workers", 0), cores)
        if not loader["num_workers"]:
            loader["persistent_workers"] = False
            loader.pop("prefetch_factor", None)
        if loader.get("pin_memory") and not torch.cuda.is_available():
            loader["pin_memory"] = False


def _missing_logs(config: Config) -> Iterator[str]:
    """MMEngine looks for these packages only when it writes the first line."""
    for part in parts(dict(config.items())):
        needed = _LOGS.get(str(part.get("type")))
        if needed is not None and find_spec(needed) is None:
            yield (
                f"vis_backends: {part['type']} needs {needed}, which is not installed here; install it, or leave it out"
            )


def _find_teacher(config: Config) -> None:
    """MMDetection's stock configs name others by a path in its repository."""
    teacher = config.model.get("teacher_config")
    if isinstance(teacher, str) and not Path(teacher).is_file():
        config.model["teacher_config"] = str(stock_configs().get(teacher.removeprefix("configs/"), teacher))


def _fit_class_weights(part: Any, path: str) -> Iterator[str]:
    """Problems of the weights of classes below a part of a model.

    A list that gives all classes the same weight is made to fit, with its last weight, that of the background.
    """
    if isinstance(part, (list, tuple)):
        for index, item in enumerate(part):
            yield from _fit_class_weights(item, f"{path}.{index}")
    if not isinstance(part, dict):
        return
    for key, value in part.items():
        yield from _fit_class_weights(value, f"{path}.{key}")
    loss = part.get("loss_cls")
    if not isinstance(loss, dict):
        return
    weights = loss.get("class_weight")
    classes = sum(part.get(key) or 0 for key in ("num_things_classes", "num_stuff_classes")) or part.get("num_classes")
    if not isinstance(weights, (list, tuple)) or not isinstance(classes, int):
        return
    expected = classes if loss.get("use_sigmoid") else classes + 1
    if len(weights) == expected:
        return
    if len(set(weights[:-1])) == 1:
        say(f"{path}.loss_cls.class_weight had {len(weights)} weights for {classes} classes; it now has {expected}")
        loss["class_weight"] = [weights[0]] * (expected - 1) + [weights[-1]]
    else:
        yield (
            f"{path}.loss_cls.class_weight has {len(weights)} weights; expected {expected}, one for each class"
            f"{'' if loss.get('use_sigmoid') else ' and one for the background'}; set it with --cfg-options"
        )
