"""Files of pickled arrays, read without running anything that they ask for.

A pickle names functions, and unpickling calls them: that is how a file of weights can run any code. Here each name is
looked up in a closed table of functions of our own, which make arrays and nothing else. Any other name ends the
reading.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from tensormask.errors import UnsafeCheckpointError

_NDARRAY = object()  # stands for the class, which itself could be called to take any amount of memory
_KINDS = "fiub"


def _dtype(name: object, *_flags: object) -> np.dtype[Any]:
    # A copy, because a pickle goes on to set its byte order, and the original is numpy's own.
    dtype = np.dtype(str(name), copy=True)
    if dtype.kind not in _KINDS or dtype.subdtype is not None:
        raise pickle.UnpicklingError(f"an array of {dtype}; expected numbers")
    return dtype


def _empty(_class: object, _shape: object, _type: object) -> np.ndarray[Any, Any]:
    """An array that gets its shape and content afterwards."""
    return np.ndarray.__new__(np.ndarray, (0,), "b")


def _from_buffer(buffer: Any, dtype: np.dtype[Any], shape: Any, order: Any) -> np.ndarray[Any, Any]:
    return np.frombuffer(bytes(buffer), dtype).reshape(shape, order=order)


def _scalar(dtype: np.dtype[Any], data: Any) -> Any:
    return np.frombuffer(data if isinstance(data, bytes) else data.encode("latin1"), dtype)[0]


def _encode(text: str, _encoding: str = "latin1") -> bytes:
    """How Python 3 writes bytes into a pickle of protocol 2."""
    return text.encode("latin1")


_KNOWN: dict[str, Callable[..., Any] | object] = {
    "numpy.ndarray": _NDARRAY,
    "numpy.dtype": _dtype,
    "_codecs.encode": _encode,
    "collections.OrderedDict": OrderedDict,
    **{f"numpy.{core}.multiarray._reconstruct": _empty for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _from_buffer for core in ("core", "_core")},
}


class ArrayUnpickler(pickle.Unpickler):
    """Reads one pickle by the table above.

    Raises (from `load`):
        UnsafeCheckpointError: a name that is not in the table.
        pickle.UnpicklingError, and what else a malformed pickle causes.
    """

    def __init__(self, data: bytes) -> None:
        # Text of Python 2 is decoded so that nothing of the arrays in it is lost.
        super().__init__(io.BytesIO(data), encoding="latin1")

    def find_class(self, module_name: str, global_name: str) -> Any:
        """What stands for a function or class."""
        name = f"{module_name}.{global_name}"
        if name not in _KNOWN:
            raise UnsafeCheckpointError(f"it asks for {name}, which no file of arrays needs", name)
        return _KNOWN[name]
