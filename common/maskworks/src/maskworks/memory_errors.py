"""torch's errors of memory, as the error that answers a request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from maskworks.errors import OutOfMemory


@contextmanager
def memory_errors() -> Iterator[None]:
    """Translates the errors of GPUs, known by their type, and of CPUs, plain RuntimeErrors known by their text.

    The type is compared by its name, so that nothing here imports torch.
    """
    try:
        yield
    except RuntimeError as error:
        if type(error).__name__ == "OutOfMemoryError" or "DefaultCPUAllocator" in str(error):
            raise OutOfMemory("the images do not fit into memory; send fewer or smaller ones at a time") from None
        raise
