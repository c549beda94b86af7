"""How this process keeps its memory."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # from malloc.h of glibc


def keep_freed_memory() -> bool:
    """Lets this process keep memory that it frees, instead of asking the kernel for the same pages at every step.

    An image takes some megabytes, a network hundreds of them for each; that the kernel clears these pages anew each
    time takes longer than decoding the image, or than many of the layers. This sets two options of glibc's allocator;
    with other allocators it does nothing and returns False.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))
