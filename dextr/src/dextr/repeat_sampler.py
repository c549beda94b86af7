"""A sampler that does not end where another one does."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from itertools import count
from typing import Any

from torch.utils.data import Sampler

_ENDLESS = 2**62


class RepeatSampler(Sampler[Any]):
    """What another sampler gives, several times over; a sampler that shuffles does so anew each time.

    Args:
        sampler: any sampler with a length.
        repeats: how often, or -1 without end, which has the length 2**62.

    Raises:
        ValueError: any other number below 1.
    """

    def __init__(self, sampler: Sampler[Any], repeats: int = -1) -> None:
        if repeats < 1 and repeats != -1:
            raise ValueError(f"repeats is {repeats}; expected a number from 1, or -1 to repeat without end")
        self.sampler = sampler
        self.repeats = repeats

    def __iter__(self) -> Iterator[Any]:
        for _ in count() if self.repeats == -1 else range(self.repeats):
            yield from self.sampler

    def __len__(self) -> int:
        if self.repeats == -1:
            return _ENDLESS
        assert isinstance(self.sampler, Sized)
        return self.repeats * len(self.sampler)
