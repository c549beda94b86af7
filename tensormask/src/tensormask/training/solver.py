"""The optimiser and its rates, as the config says."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import LambdaLR

from tensormask.config import Config


def make_optimizer(net: nn.Module, config: Config) -> SGD:
    """SGD with momentum over the trained parameters; biases may have a rate and a decay of their own."""
    named = [(name, p) for name, p in net.named_parameters() if p.requires_grad]
    decay = config.weight_decay if config.weight_decay_bias is None else config.weight_decay_bias
    groups: list[dict[str, Any]] = [
        {"params": [p for name, p in named if not name.endswith(".bias")]},
        {
            "params": [p for name, p in named if name.endswith(".bias")],
            "lr": config.base_lr * config.bias_lr_factor,
            "weight_decay": decay,
        },
    ]
    return SGD(groups, config.base_lr, config.momentum, weight_decay=config.weight_decay, nesterov=config.nesterov)


def make_scheduler(optimizer: SGD, config: Config) -> LambdaLR:
    """Warm-up, then steps; to be stepped once per iteration."""
    return LambdaLR(optimizer, lambda iteration: rate_factor(iteration, config))


def rate_factor(iteration: int, config: Config) -> float:
    """Factor of the base rate in an iteration, counted from 0."""
    factor = config.lr_gamma ** bisect_right(sorted(config.lr_steps), iteration)
    if iteration >= config.warmup_iters:
        return factor
    if config.warmup_method == "constant":
        return config.warmup_factor * factor
    done = iteration / config.warmup_iters
    return (config.warmup_factor * (1 - done) + done) * factor
