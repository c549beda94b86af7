"""The random numbers of a transform, of which each worker of a DataLoader has its own."""

from __future__ import annotations

import numpy as np
from torch.utils.data import get_worker_info


class TransformRandom:
    """A `numpy.random.RandomState` for the process that asks.

    In the main process it is the one given, or one seeded by the operating system. In a worker of a DataLoader it is
    seeded by the worker's own seed, once per worker: workers never repeat each other's draws, and the generator of the
    DataLoader decides all of them. After `reseed` all draws follow from its key alone.

    Args:
        rng: the state for the main process; None for one that the operating system seeds.
    """

    def __init__(self, rng: np.random.RandomState | None = None) -> None:
        self._rng = rng
        self._seed: int | None = None

    def reseed(self, *key: int) -> None:
        """Start anew in this process, with a state that follows from the key, non-negative 32-bit numbers."""
        worker = get_worker_info()
        self._seed = None if worker is None else worker.seed
        self._rng = np.random.RandomState(key)

    @property
    def state(self) -> np.random.RandomState:
        """The state of this process; it advances as it is used."""
        worker = get_worker_info()
        if worker is not None and worker.seed != self._seed:
            self._seed = worker.seed
            self._rng = np.random.RandomState([worker.seed & 0xFFFFFFFF, worker.seed >> 32])
        elif self._rng is None:
            self._rng = np.random.RandomState()
        return self._rng
