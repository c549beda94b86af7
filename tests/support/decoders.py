"""Pools of decoders, and a look at their processes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from maskworks.config import InputConfig
from maskworks.images.decoder_pool import DecoderPool
from maskworks.images.reader import decode_image
from tests.support.bombs import progressive_jpeg
from tests.support.children import children
from tests.support.samples import encoded

GOOD = encoded(fmt="PNG")
LIMITS = InputConfig()
# Many seconds of work on any processor.
BOMB = progressive_jpeg(100_000)


@contextmanager
def new_pools() -> Iterator[Callable[..., DecoderPool]]:
    """What makes pools, which end with it."""
    pools: list[DecoderPool] = []

    def make(stop: threading.Event | None = None, **limits: Any) -> DecoderPool:
        pools.append(DecoderPool(InputConfig(**limits), stop or threading.Event()))
        return pools[-1]

    try:
        yield make
    finally:
        for pool in pools:
            pool.close()


def decoders(parent: int | None = None) -> list[int]:
    """The numbers of a process's decoders, of this one's by default."""
    return children(parent or os.getpid(), "decoder_program")


def check_good(pool: DecoderPool) -> None:
    """The pool decodes a good image."""
    np.testing.assert_array_equal(pool.decode(GOOD)[0], decode_image(GOOD, LIMITS)[0])


def busy(process: int) -> bool:
    """Whether a process has worked for longer than a start takes, a second."""
    ticks = sum(map(int, Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return ticks > os.sysconf("SC_CLK_TCK")
