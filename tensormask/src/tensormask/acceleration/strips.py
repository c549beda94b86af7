"""Pieces of work on all cores, each piece on one.

torch shares every single operation among its threads, which then wait for each other. Where work consists of many short
operations, and where the machine has other things to do as well, most of the time would go into this waiting.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch


def each(work: Callable[[int], None], pieces: Sequence[int]) -> None:
    """Calls `work` with every piece, in as many threads as torch uses at this moment."""
    threads = torch.get_num_threads()
    if threads == 1 or len(pieces) == 1:
        for piece in pieces:
            work(piece)
        return
    inference = torch.is_inference_mode_enabled()

    def call(piece: int) -> None:
        with torch.inference_mode(inference), torch.no_grad():  # both are a matter of each thread
            work(piece)

    for _ in _pool(threads).map(call, pieces):
        pass


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    started = threading.Barrier(threads + 1)

    def start() -> None:
        torch.set_num_threads(1)
        started.wait()

    pool = ThreadPoolExecutor(threads, "strips", start)
    for _ in range(threads):
        pool.submit(int)
    started.wait()
    torch.set_num_threads(threads)  # what was set last is also the default of threads to come
    return pool


os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process does not have the threads
