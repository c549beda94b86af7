"""Loading weights from files without running code from them, and without taking more than a multiple of their size."""

from __future__ import annotations

import errno
import logging
import os
import pickle
import re
import struct
import zipfile
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from maskworks.errors import CheckpointError, UnsafeCheckpoint
from maskworks.regular_file import open_regular
from maskworks_torch.closed_unpickler import UnknownName

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

_ADVICE = "if you trust its origin, --unsafe_load loads it all the same and runs what it contains"
# What readers raise on broken files, depending on where they break.
READER_ERRORS = (
    RuntimeError, OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, ImportError,
    MemoryError, AssertionError, struct.error, pickle.UnpicklingError, zipfile.BadZipFile,
)  # fmt: skip
_MOST_BYTES = 64 << 30
_MOST_HEADER = 16 << 20  # bytes of the header of safetensors: 100 000 tensors have less
_TORCH_STARTS = (b"PK\x03\x04", b"\x80")  # a zip archive, a pickle


def load_state_dict(path: Path, *, unsafe: bool = False) -> dict[str, Tensor]:
    """The named tensors of a checkpoint, on the CPU.

    Reads safetensors and what `torch.save` wrote; weights that stand under `state_dict` or `model` are taken out.

    Args:
        path: the file.
        unsafe: whether classes and functions that the file names may be imported and called.

    Raises:
        CheckpointError: missing, broken, or without named tensors.
        UnsafeCheckpoint: it can only be loaded by running code from it.
    """
    import torch

    content = load_content(path, unsafe=unsafe)
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise CheckpointError(f"{path}: holds no named tensors; expected a state dict")
    return dict(content)


def load_content(path: Path, *, unsafe: bool = False, allowed: Sequence[tuple[Any, str]] = ()) -> Any:
    """All that a checkpoint holds, tensors on the CPU: a dict of tensors from safetensors, anything from `torch.save`.

    Args:
        path: the file.
        unsafe: whether classes and functions that the file names may be imported and called.
        allowed: classes and functions that are called in place of the names that stand in the file.

    Raises:
        CheckpointError: missing, broken, or it would take far more memory than it has bytes.
        UnsafeCheckpoint: it can only be loaded by running other code from it.
    """
    try:
        start = start_of(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}; expected a checkpoint file") from None
    try:
        if is_safetensors(start):
            return load_safetensors(path)
        # With anything else torch makes an error message of all that is in the file, which takes long.
        if not start.startswith(_TORCH_STARTS):
            raise pickle.UnpicklingError("neither safetensors nor of torch.save")
        if unsafe:
            log.warning("%s: loading without protection, code in it runs now", path)
        return load_torch(path, unsafe=unsafe, allowed=allowed)
    except READER_ERRORS as error:
        raise reader_error(path, error) from None


def open_model(path: Path) -> BinaryIO:
    """Opens a file of a model, which has to be a regular one, also behind links.

    Raises:
        OSError: it is none, cannot be opened, or is larger than any model.
    """
    file = open_regular(path)
    if os.fstat(file.fileno()).st_size > _MOST_BYTES:
        file.close()
        raise OSError(errno.EFBIG, "larger than any model", str(path))
    return file


def start_of(path: Path) -> bytes:
    """The first bytes of a file of a model, as many as tell its format.

    Raises:
        OSError: as `open_model`.
    """
    with open_model(path) as file:
        return file.read(9)


def is_safetensors(start: bytes) -> bool:
    """Whether a file that starts with these 9 bytes is one: the length of its header, and the curly brace of it."""
    return start[8:9] == b"{"


def load_safetensors(path: Path) -> dict[str, Tensor]:
    """The tensors in a safetensors file, on the CPU. Its format sees to it that they are no more than the file.

    Raises:
        ValueError: broken, or with more tensors than any model.
        OSError: no regular file, or it cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    check_header(path)
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(str(error)) from None


def check_header(path: Path) -> None:
    """Looks at the length of the header of a safetensors file, before anything is made of it.

    Raises:
        ValueError: it names more tensors than any model has.
        OSError: no regular file, or it cannot be read.
    """
    with open_model(path) as file:
        if int.from_bytes(file.read(8), "little") > _MOST_HEADER:
            raise ValueError("its header is larger than that of any model")


def load_torch(
    file: Any, *, map_location: Any = "cpu", unsafe: bool = False, allowed: Sequence[tuple[Any, str]] = ()
) -> Any:
    """What `torch.save` wrote. Only with `unsafe` torch itself reads it, in the only call of `torch.load` there is.

    Args:
        file: a path, or a file that is open in binary mode.
        map_location: where the tensors go: a device or its name. Of all else that torch takes: the CPU.
        unsafe: whether classes and functions that the file names may be imported and called.
        allowed: classes and functions that are called in place of the names that stand in the file, besides those that
            torch was told about (`torch.serialization.safe_globals`).

    Raises:
        READER_ERRORS: it is broken or refused, see `reader_error` and `refused_name`. If `unsafe`, anything.
    """
    import torch

    from maskworks_torch import torch_file
    from maskworks_torch.tensor_unpickler import TensorUnpickler

    if unsafe:
        return torch.load(file, map_location=map_location, weights_only=not unsafe)
    told = torch.serialization.get_safe_globals()
    named = [entry if isinstance(entry, tuple) else (entry, f"{entry.__module__}.{entry.__name__}") for entry in told]
    known = {name: value for value, name in [*named, *allowed]}
    with open_model(Path(file)) if isinstance(file, (str, os.PathLike)) else nullcontext(file) as opened:
        content = torch_file.read(opened, partial(TensorUnpickler, more=known))
    on_cpu = not isinstance(map_location, (str, torch.device)) or torch.device(map_location).type == "cpu"
    return content if on_cpu else _moved(content, map_location)


def refused_name(error: BaseException) -> str:
    """The function or class, e.g. `posix.system`, for which a file was refused; empty if it was for something else."""
    if isinstance(error, UnknownName):
        return error.name
    found = re.search(r"GLOBAL (\S+\.\w+)", str(error)) if isinstance(error, pickle.UnpicklingError) else None
    return "" if found is None else found[1]


def reader_error(what: object, error: BaseException) -> CheckpointError:
    """The error for what a reader of checkpoints raised.

    Args:
        what: what was read, for the message.
        error: one of `READER_ERRORS`.
    """
    name = refused_name(error)
    if name:
        return UnsafeCheckpoint(f"{what}: refused: loads {name}; expected plain weights; {_ADVICE}")
    refused = isinstance(error, pickle.UnpicklingError)
    reason = "unknown content" if refused else f"{type(error).__name__}: {error}".strip(": ")
    reason = re.split(r"\n|\. ", reason)[0]
    return CheckpointError(f"{what}: not weights or broken ({reason}); copy or download it again")


def _moved(value: Any, device: Any) -> Any:
    """With the tensors in dictionaries and lists on another device."""
    import torch

    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, dict):
        for key, item in value.items():
            value[key] = _moved(item, device)
    elif isinstance(value, (list, tuple)):
        return type(value)(_moved(item, device) for item in value)
    return value
