"""How this process keeps its memory."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # from malloc.h of glibc


def keep_freed_memory() -> bool:
    """Lets this process keep memory that it frees, instead of asking the kernel for the same pages at every step.

    An image takes some megabytes, a network hundreds of them for each; that the kernel clears these pages anew each
    time takes longer than decoding the image, or than many of the layers. This sets two options of glibc's allocator;
    with other allocators it does nothing and returns False.
    """
    mallopt = _of_glibc("mallopt")
    return mallopt is not None and bool(mallopt(_M_MMAP_MAX, 0) and mallopt(_M_TRIM_THRESHOLD, 2**31 - 1))


def give_back_freed_memory() -> bool:
    """Gives what this process has freed back to the kernel, once, where that can be done."""
    malloc_trim = _of_glibc("malloc_trim")
    return malloc_trim is not None and bool(malloc_trim(0))


def _of_glibc(name: str) -> Any:
    """A function of glibc's allocator; None with other allocators."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None
