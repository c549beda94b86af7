"""The closed tables by which tensors and plain values are read from the pickles of `torch.save`."""

from __future__ import annotations

import math
import pickle
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any, ClassVar, TypeAlias

import torch
from torch import Tensor

from maskworks_torch.closed_unpickler import ClosedUnpickler
from maskworks_torch.numpy_stand_ins import STAND_INS, Array, ArrayType, encode

MOST_TENSORS = 100_000  # more than the largest networks have, with the state of their optimiser
_MOST_AXES = 32
_MOST_EXPANDED = 1 << 20  # elements of a tensor that repeats those of a smaller storage

# Gives the flat tensor for (dtype, key, number of elements).
LoadStorage: TypeAlias = Callable[[torch.dtype, str, int], Tensor]

_STORAGES = {
    "BoolStorage": torch.bool,
    "ByteStorage": torch.uint8,
    "CharStorage": torch.int8,
    "ShortStorage": torch.int16,
    "IntStorage": torch.int32,
    "LongStorage": torch.int64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
}


def _values(tensor: Tensor, *_flags: object) -> Tensor:
    """In place of what makes a parameter: its values."""
    return tensor


_KNOWN: dict[str, Any] = {
    "collections.OrderedDict": OrderedDict,
    "collections.Counter": Counter,
    "builtins.set": set,
    "builtins.complex": complex,
    "_codecs.encode": encode,
    "torch.Size": tuple,
    "torch.device": torch.device,
    "torch._utils._rebuild_parameter": _values,
    "torch._utils._rebuild_parameter_with_state": _values,
    **{f"torch.{name}": value for name, value in vars(torch).items() if isinstance(value, torch.dtype)},
    **{f"torch.{storage}": dtype for storage, dtype in _STORAGES.items()},
    **{f"torch.{module}UntypedStorage": torch.uint8 for module in ("", "storage.")},
    **STAND_INS,
}


class TensorUnpickler(ClosedUnpickler):
    """Reads one pickle by the table above.

    Args:
        file: open in binary mode, at the start of the pickle.
        load_storage: gives the flat tensor for (dtype, key, number of elements).
        size: bytes of the file that the pickle is in.
        more: what else is called in place of names that stand in the file; of classes the state may be set.

    Raises (from `load`):
        UnknownName: a name that is in none of the tables.
        pickle.UnpicklingError, ValueError, and what else a malformed or hostile pickle causes.
    """

    # What takes any memory for a few bytes of a file; torch never writes that.
    dispatch: ClassVar[dict[int, Callable[..., None]]] = {
        code: load for code, load in ClosedUnpickler.dispatch.items() if code != pickle.BYTEARRAY8[0]
    }

    def __init__(
        self, file: IO[bytes], load_storage: LoadStorage, size: int, more: Mapping[str, Any] | None = None
    ) -> None:
        more = more or {}
        rebuilding = {
            "torch._utils._rebuild_tensor": self._rebuild,
            "torch._utils._rebuild_tensor_v2": self._rebuild,
            "torch._utils._rebuild_tensor_v3": self._rebuild_as,
        }
        classes = tuple({value for value in more.values() if isinstance(value, type)})
        super().__init__(file, {**_KNOWN, **rebuilding, **more}, (OrderedDict, Array, ArrayType, *classes), size)
        self._load_storage, self._tensors = load_storage, 0

    def find_class(self, module_name: str, global_name: str) -> Any:
        """What stands for a class or function; pickles of protocol 2 have Python 2's name of `builtins`."""
        old = module_name == "__builtin__" and f"builtins.{global_name}" in self._known
        return super().find_class("builtins" if old else module_name, global_name)

    def persistent_load(self, pid: Any) -> Any:
        """Storages by number; classes, which the legacy format wraps together with their source text, by name."""
        if isinstance(pid, tuple) and pid and pid[0] == "module":
            return pid[1]
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage" or not isinstance(pid[1], torch.dtype):
            raise pickle.UnpicklingError("a persistent id that is neither a storage nor a class")
        _, dtype, key, _location, count, *view = pid
        flat = self._load_storage(dtype, str(key), int(count))
        if not view or view[0] is None:
            return flat
        _key, offset, length = view[0]
        return flat[offset : offset + length]

    def _rebuild(
        self, storage: Tensor, offset: int, size: Sequence[int], stride: Sequence[int], *_flags: object
    ) -> Tensor:
        """A strided view of a flat tensor; torch refuses one that reaches beyond it.

        A copy of a view can be much larger than the view, so it is charged in full by the base class.
        """
        self._tensors += 1
        if self._tensors > MOST_TENSORS:
            raise ValueError(f"it has more than {MOST_TENSORS} tensors")
        if len(size) > _MOST_AXES:
            raise ValueError(f"a tensor of {len(size)} axes")
        shape = torch.Size(size)
        if math.prod(shape) > max(storage.numel(), _MOST_EXPANDED):
            raise ValueError(f"a tensor of shape {tuple(shape)} in a storage of {storage.numel()} elements")
        return torch.as_strided(storage, shape, tuple(stride), offset)

    def _rebuild_as(self, storage: Tensor, offset: int, size: Any, stride: Any, *flags: Any) -> Tensor:
        """For types that have no class of storages: with the type behind `requires_grad` and the hooks."""
        return self._rebuild(storage.view(flags[2]), offset, size, stride)
