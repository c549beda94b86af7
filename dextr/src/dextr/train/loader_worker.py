"""The start of a worker process of a DataLoader, before its first sample."""

from __future__ import annotations

import signal

import cv2

from maskworks.freed_memory import keep_freed_memory


def start_worker(worker_id: int) -> None:
    """`worker_init_fn` of our DataLoaders: no threads inside a worker, and freed memory is used again.

    Signals that ask the whole process group to stop are left to the main process, which stops its workers.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    cv2.setNumThreads(0)
    keep_freed_memory()
