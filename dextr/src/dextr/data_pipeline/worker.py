"""What a worker process of a DataLoader does before its first sample."""

from __future__ import annotations

import ctypes
import signal

import cv2

# Of glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4


def start_worker(worker_id: int) -> None:
    """`worker_init_fn` of our DataLoaders: no threads inside a worker, and freed memory is used again.

    Signals that ask the whole process group to stop are left to the main process, which stops its workers.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    cv2.setNumThreads(0)
    keep_freed_memory()


def keep_freed_memory() -> bool:
    """Have the C library keep the memory of freed arrays, for this whole process; False where it is not glibc.

    The arrays of a sample are some megabytes each. By default glibc gives every one of them back to the system, which
    has to clear the pages of the next one.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, 1 << 30))
