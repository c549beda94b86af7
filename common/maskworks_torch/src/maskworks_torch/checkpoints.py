"""Loading weights from files without running code from them."""

from __future__ import annotations

import logging
import pickle
import re
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskworks.errors import CheckpointError, UnsafeCheckpoint
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
        CheckpointError: missing or broken.
        UnsafeCheckpoint: it can only be loaded by running other code from it.
    """
    start = _start(path)
    # A safetensors file starts with the length of its header, 8 bytes, and the curly brace that opens it.
    if start[8:] == b"{":
        return _load_safetensors(path)
    # With anything else torch makes an error message of all that is in the file, which takes long.
    if not start.startswith(_TORCH_STARTS):
        raise CheckpointError(f"{path}: not weights or broken (unknown content); copy or download it again")
    if unsafe:
        log.warning("%s: loading without protection, code in it runs now", path)
    try:
        return load_torch(path, unsafe=unsafe, allowed=allowed)
    except READER_ERRORS as error:
        raise reader_error(path, error) from None


def load_torch(
    file: Any, *, map_location: Any = "cpu", unsafe: bool = False, allowed: Sequence[tuple[Any, str]] = ()
) -> Any:
    """What `torch.save` wrote: the only call of `torch.load` there is.

    Args:
        file: a path, or a file that is open in binary mode.
        map_location: where the tensors go, as of `torch.load`.
        unsafe: whether classes and functions that the file names may be imported and called.
        allowed: classes and functions that are called in place of the names that stand in the file.

    Raises:
        READER_ERRORS: it is broken or refused, see `reader_error` and `refused_name`. If `unsafe`, anything.
    """
    import torch

    with torch.serialization.safe_globals(list(allowed)):
        return torch.load(file, map_location=map_location, weights_only=not unsafe)


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


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(9)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}; expected a checkpoint file") from None


def _load_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(f"{path}: broken safetensors file: {error}; copy or download it again") from None
