"""The optimiser of the training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from torch import nn
from torch.optim import SGD, Adam, Optimizer

ParameterGroup: TypeAlias = dict[str, Any]
OptimizerType: TypeAlias = str | Callable[[list[ParameterGroup]], Optimizer]


def parameter_groups(
    net: nn.Module, learning_rate: float, pretrained_lr_factor: float = 0.1, new_lr_factor: float = 1.0
) -> list[ParameterGroup]:
    """The net's pretrained and its new parameters, with their learning rates.

    Args:
        net: has the lists `pretrained_parameters` and `new_parameters`, as our architectures do. A net without them is
            taken as new.
        learning_rate: base rate.
        pretrained_lr_factor: factor of the rate of the pretrained parameters.
        new_lr_factor: factor of the rate of the new parameters.
    """
    pretrained = getattr(net, "pretrained_parameters", [])
    new = getattr(net, "new_parameters", list(net.parameters()))
    return [
        {"params": list(pretrained), "lr": learning_rate * pretrained_lr_factor},
        {"params": list(new), "lr": learning_rate * new_lr_factor},
    ]


def make_optimizer(opt_type: OptimizerType, groups: list[ParameterGroup], sgd_weight_decay: float = 1e-4) -> Optimizer:
    """The optimiser of a name.

    Args:
        opt_type: "sgd" (Nesterov momentum of 0.9, weight decay), "adam" (torch's defaults, no decay), or a callable
            that is given the groups.
        groups: see `parameter_groups`.
        sgd_weight_decay: of "sgd".

    Raises:
        ValueError: the name of no optimiser.
    """
    if callable(opt_type):
        return opt_type(groups)
    if opt_type == "sgd":
        return SGD(groups, momentum=0.9, nesterov=True, weight_decay=sgd_weight_decay)
    if opt_type == "adam":
        return Adam(groups)
    raise ValueError(f"there is no optimiser {opt_type!r}; expected sgd, adam, or a callable that takes the groups")
