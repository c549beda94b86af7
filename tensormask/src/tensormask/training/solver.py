"""The optimiser and its rates, as the config says."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import LambdaLR

from tensormask.config import Config
from tensormask.norms import CLASSES, ChannelNorm


def make_optimizer(net: nn.Module, config: Config) -> SGD:
    """SGD with momentum over the trained parameters; biases and normalisations may have values of their own.

    As in detectron2, the parameters of LN count as any others.
    """
    norms = {id(p) for m in net.modules() if isinstance(m, CLASSES) and not isinstance(m, ChannelNorm)
             for p in m.parameters()}  # fmt: skip
    named = [(name, p) for name, p in net.named_parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = []
    for own, decay in ((False, config.weight_decay), (True, config.weight_decay_norm)):
        chosen = [(name, p) for name, p in named if (id(p) in norms) == own]
        if own and not chosen:
            break
        groups += [
            {"params": [p for name, p in chosen if not name.endswith(".bias")], "weight_decay": decay},
            {
                "params": [p for name, p in chosen if name.endswith(".bias")],
                "lr": config.base_lr * config.bias_lr_factor,
                "weight_decay": decay if config.weight_decay_bias is None else config.weight_decay_bias,
            },
        ]
    return SGD(groups, config.base_lr, config.momentum, nesterov=config.nesterov)


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
