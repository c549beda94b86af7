"""Threads that each do a piece of work alone.

The usual way on CPUs is that all threads share every single operation and wait for the slowest at its end, thousands of
times for an image. Here a thread takes a piece (some rows, some heads) through many operations, and whoever is done
takes the next piece. That costs less, and far less where other programs use the same cores.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import torch

Piece = TypeVar("Piece")


def each(work: Callable[[Piece], None], pieces: Iterable[Piece]) -> None:
    """Does the work on every piece, with as many threads as torch uses; raises the first error."""
    threads = torch.get_num_threads()
    if threads == 1:
        for piece in pieces:
            work(piece)
    else:
        for _ in _pool(threads).map(work, pieces):
            pass


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads in which torch's own operations use one thread.

    torch keeps that setting for each thread, and the last one also as the default of threads to come; so all of them
    are started now, and the default is put back.
    """
    started = threading.Barrier(threads + 1)

    def work_alone() -> None:
        torch.get_num_threads()  # a thread's first look at the setting takes the default; the next line must come after
        torch.set_num_threads(1)
        started.wait()

    pool = ThreadPoolExecutor(threads, "sam", initializer=work_alone)
    for _ in range(threads):
        pool.submit(int)
    started.wait()
    torch.set_num_threads(threads)
    return pool
