"""What torch raises when memory runs out, as an error that answers a request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from segkit.errors import OutOfMemory


@contextmanager
def memory_errors() -> Iterator[None]:
    """Translates the errors of GPUs and CPUs; on CPUs it is a plain RuntimeError, known by its text."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error):
            raise OutOfMemory("the images do not fit into memory; send fewer or smaller ones at a time") from None
        raise
