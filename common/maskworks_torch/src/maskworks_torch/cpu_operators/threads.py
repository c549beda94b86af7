"""Threads that each do a piece of work alone.

The usual way on CPUs is that all threads share every single operation and wait for the slowest at its end, thousands of
times for an image. Here a thread takes a piece (some rows, some heads) through many operations, and whoever is done
takes the next piece. That costs less, and far less where other programs use the same cores.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

import torch

Piece = TypeVar("Piece")


def each(work: Callable[[Piece], None], pieces: Sequence[Piece]) -> None:
    """Does the work on every piece, without gradients, with as many threads as torch uses; raises the first error.

    A single piece is done by the caller, so that torch's threads share its operations.
    """
    threads = torch.get_num_threads()
    inference = torch.is_inference_mode_enabled()

    def call(piece: Piece) -> None:
        with torch.inference_mode(inference), torch.no_grad():  # both are a matter of each thread
            work(piece)

    for _ in map(call, pieces) if threads == 1 or len(pieces) == 1 else _pool(threads).map(call, pieces):
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

    pool = ThreadPoolExecutor(threads, "piece", initializer=work_alone)
    for _ in range(threads):
        pool.submit(int)
    started.wait()
    torch.set_num_threads(threads)
    return pool


os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process does not have the threads
