"""Learning rates as functions of the iteration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

ScheduleType: TypeAlias = str | Callable[..., LRScheduler]


class PolynomialLR(LRScheduler):
    """base * max((1 - i / T_max) ** power, eta_min) at iteration i, and its value at T_max from there on.

    Args:
        optimizer: whose groups' rates are set.
        T_max: number of iterations.
        power: of the decay.
        eta_min: least factor of the base rate (a factor and not a rate, as in the original).
        last_epoch: the iteration to go on from; -1 starts anew.
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, power: float = 0.9, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max = T_max
        self.power = power
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The rate of each group at the current iteration."""
        progress = min(max(self.last_epoch / self.T_max, 0.0), 1.0)
        factor = max((1.0 - progress) ** self.power, self.eta_min)
        return [base * factor for base in self.base_lrs]


def make_lr_scheduler(
    optimizer: Optimizer, total_iters: int, schedule_type: ScheduleType, poly_power: float = 0.9
) -> LRScheduler | None:
    """A schedule that is stepped once per iteration, after the optimiser.

    Args:
        optimizer: whose groups' rates are set.
        total_iters: number of iterations of the whole training.
        schedule_type: "none" for constant rates (the result is None), "cosine" (to 0), "poly", or a callable that is
            given the keywords `optimizer` and `T_max`.
        poly_power: power of "poly".

    Raises:
        ValueError: the name of no schedule.
    """
    if callable(schedule_type):
        return schedule_type(optimizer=optimizer, T_max=total_iters)
    if schedule_type == "none":
        return None
    if schedule_type == "cosine":
        return CosineAnnealingLR(optimizer, T_max=total_iters)
    if schedule_type == "poly":
        return PolynomialLR(optimizer, T_max=total_iters, power=poly_power)
    raise ValueError(f"there is no learning rate schedule {schedule_type!r}; expected none, cosine, poly or a callable")
