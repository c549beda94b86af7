"""What is called in place of the names of numpy that stand in a file, so that arrays are read and nothing else happens.

Numpy's own are not safe: a file could give a type flags that make numpy take numbers for addresses, or fill an array
anew while a tensor still uses its memory. These take numbers and text, and look at nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

_NUMBERS_OR_TEXT = re.compile(r"[biufc][1-9][0-9]?|[SU][1-9][0-9]{0,4}")


class ArrayType:
    """In place of `numpy.dtype`."""

    def __init__(self, name: object, *_flags: object) -> None:
        if not isinstance(name, str) or not _NUMBERS_OR_TEXT.fullmatch(name):
            raise TypeError(f"an array of type {str(name)[:20]}; expected numbers or text")
        self.numpy = np.dtype(name)

    def __setstate__(self, state: Any) -> None:
        """Only the second value, the order of bytes, says something about numbers."""
        self.numpy = self.numpy.newbyteorder(state[1])


class Array(np.ndarray[Any, Any]):
    """In place of `numpy.ndarray`: an array that gets its shape and content afterwards, once."""

    _filled = False

    def __new__(cls, *_: object) -> Array:
        return super().__new__(cls, (0,), "b")

    def __setstate__(self, state: Any) -> None:
        version, shape, kind, by_columns, data = state
        if self._filled:
            raise TypeError("an array that is filled twice")
        self._filled = True
        super().__setstate__((version, shape, _numpy(kind), by_columns, data))

    def __reduce__(self) -> Any:
        """In a file that is written it is an array like any other."""
        return np.array(self).__reduce__()


def encode(text: str, _encoding: str = "latin1") -> bytes:
    """How Python 3 writes bytes into a pickle of protocol 2."""
    return text.encode("latin1")


def _scalar(kind: Any, data: Any) -> Any:
    return np.frombuffer(data if isinstance(data, bytes) else data.encode("latin1"), _numpy(kind))[0]


def _from_buffer(buffer: Any, kind: Any, shape: Any, order: Any) -> np.ndarray[Any, Any]:
    return np.frombuffer(bytes(buffer), _numpy(kind)).reshape(shape, order=order)


def _numpy(kind: Any) -> np.dtype[Any]:
    if not isinstance(kind, ArrayType):
        raise TypeError(f"{type(kind).__name__} where the type of an array should be")
    return kind.numpy


# By the names that numpy 1 and 2 write.
STAND_INS: Mapping[str, Callable[..., Any]] = {
    "numpy.ndarray": Array,
    "numpy.dtype": ArrayType,
    **{f"numpy.{core}.multiarray._reconstruct": Array for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _from_buffer for core in ("core", "_core")},
}
