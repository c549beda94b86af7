"""What a fuzz target is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """A reader of bytes, and inputs to begin with.

    Attributes:
        run: reads an input. It may raise nothing: what readers are allowed to raise is caught inside, and what they
            return is checked.
        seeds: valid inputs, of all kinds that there are; the fuzzer changes them.
        longest: most bytes of an input.
    """

    run: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    longest: int = 4096
