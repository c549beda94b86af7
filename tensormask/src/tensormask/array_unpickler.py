"""Files of pickled arrays, read without running anything that they ask for.

A pickle names functions, and unpickling calls them: that is how a file of weights can run any code. Here each name is
looked up in a closed table of functions of our own, which make arrays and nothing else. Any other name ends the
reading.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from tensormask.errors import UnsafeCheckpointError

_NDARRAY = object()  # stands for the class, which itself could be called to take any amount of memory
_TYPES = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"}


class _DType:
    """Stands for a type of numpy: a pickle could give that flags with which numpy takes numbers for addresses."""

    def __init__(self, name: object, *_flags: object) -> None:
        if name not in _TYPES:
            raise pickle.UnpicklingError(f"an array of type {str(name)[:20]}; expected numbers")
        self.numpy = np.dtype(str(name))

    def __setstate__(self, state: Any) -> None:
        """Only the second value, the order of bytes, says something about numbers."""
        order: Any = state[1]
        self.numpy = self.numpy.newbyteorder(order)


class _Array(np.ndarray[Any, Any]):
    """An array that gets its shape and content afterwards."""

    def __setstate__(self, state: Any) -> None:
        version, shape, dtype, by_columns, data = state
        super().__setstate__((version, shape, _numpy(dtype), by_columns, data))


def _numpy(dtype: Any) -> np.dtype[Any]:
    if not isinstance(dtype, _DType):
        raise pickle.UnpicklingError(f"{type(dtype).__name__} where the type of an array should be")
    return dtype.numpy


def _empty(_class: object, _shape: object, _type: object) -> _Array:
    return np.ndarray.__new__(_Array, (0,), "b")


def _from_buffer(buffer: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray[Any, Any]:
    return np.frombuffer(bytes(buffer), _numpy(dtype)).reshape(shape, order=order)


def _scalar(dtype: Any, data: Any) -> Any:
    return np.frombuffer(data if isinstance(data, bytes) else data.encode("latin1"), _numpy(dtype))[0]


def _encode(text: str, _encoding: str = "latin1") -> bytes:
    """How Python 3 writes bytes into a pickle of protocol 2."""
    return text.encode("latin1")


_KNOWN: dict[str, Callable[..., Any] | object] = {
    "numpy.ndarray": _NDARRAY,
    "numpy.dtype": _DType,
    "_codecs.encode": _encode,
    "collections.OrderedDict": OrderedDict,
    **{f"numpy.{core}.multiarray._reconstruct": _empty for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _from_buffer for core in ("core", "_core")},
}


class ArrayUnpickler(pickle._Unpickler):  # in Python: the one in C lets a few bytes of a file take all memory
    """Reads one pickle by the table above.

    Raises (from `load`):
        UnsafeCheckpointError: a name that is not in the table.
        pickle.UnpicklingError, and what else a malformed pickle causes.
    """

    def __init__(self, data: bytes) -> None:
        # Text of Python 2 is decoded so that nothing of the arrays in it is lost.
        super().__init__(io.BytesIO(data), encoding="latin1")

    def _load_bytearray(self: Any) -> None:
        """As in the base class, but memory is taken for what is there, not for what is announced."""
        (size,) = struct.unpack("<Q", self.read(8))
        self.append(bytearray(self.read(size)))

    def _load_build(self: Any) -> None:
        """As in the base class, but only for arrays: it would also change the functions of the table."""
        if not isinstance(self.stack[-2], (_Array, _DType)):
            raise pickle.UnpicklingError(f"it changes a {type(self.stack[-2]).__name__}")
        pickle._Unpickler.dispatch[pickle.BUILD[0]](self)

    dispatch: ClassVar[dict[int, Callable[..., None]]] = {
        **pickle._Unpickler.dispatch, pickle.BYTEARRAY8[0]: _load_bytearray, pickle.BUILD[0]: _load_build
    }  # fmt: skip

    def find_class(self, module_name: str, global_name: str) -> Any:
        """What stands for a function or class."""
        name = f"{module_name}.{global_name}"
        if name not in _KNOWN:
            raise UnsafeCheckpointError(f"it asks for {name}, which no file of arrays needs", name)
        return _KNOWN[name]
