"""Loading weights from files without running code from them."""

from __future__ import annotations

import logging
import pickle
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskworks.errors import CheckpointError, UnsafeCheckpoint

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger(__name__)

_ADVICE = "if you trust its origin, --unsafe_load loads it all the same and runs what it contains"
# What torch's readers raise on broken files, depending on where they break.
READER_ERRORS = (
    RuntimeError, OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, ImportError,
    MemoryError, AssertionError, struct.error, pickle.UnpicklingError,
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
    return _load_torch(path, unsafe, allowed)


def reader_error(what: object, error: BaseException) -> CheckpointError:
    """The error for what torch's reader of checkpoints raised.

    Args:
        what: what was read, for the message.
        error: one of `READER_ERRORS`.
    """
    refused = isinstance(error, pickle.UnpicklingError)
    code = re.search(r"GLOBAL (\S+\.\w+)", str(error)) if refused else None
    if code is not None:
        return UnsafeCheckpoint(f"{what}: refused: loads {code[1]}; expected plain weights; {_ADVICE}")
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


def _load_torch(path: Path, unsafe: bool, allowed: Sequence[tuple[Any, str]]) -> Any:
    import torch

    if unsafe:
        log.warning("%s: loading without protection, code in it runs now", path)
    try:
        with torch.serialization.safe_globals(list(allowed)):
            return torch.load(path, map_location="cpu", weights_only=not unsafe)
    except READER_ERRORS as error:
        raise reader_error(path, error) from None
