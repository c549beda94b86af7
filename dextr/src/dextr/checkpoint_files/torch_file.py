"""Files that `torch.save` wrote, in both of its formats, read without running anything from them.

* zip (torch 1.6 and later): `data.pkl` is the pickle, `data/<key>` are the storages.
* legacy: one after the other the pickles of a magic number, a protocol version, facts about the system, the object, and
  the storages' keys; then for each key an int64 count and the raw elements.
"""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path
from typing import IO, Any

import torch

from dextr.checkpoint_files.shell_unpickler import ShellUnpickler
from dextr.errors import CheckpointError, UnsafeCheckpointError
from maskworks_torch.checkpoints import READER_ERRORS
from maskworks_torch.closed_unpickler import UnknownName

ZIP_START = b"PK\x03\x04"
LEGACY_START = b"\x80\x02"
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001


def read(path: Path) -> Any:
    """The object in the file: plain values, tensors on the CPU, and `Shell`s where it holds instances of classes.

    Raises:
        CheckpointError: the file is in neither format, or broken.
        UnsafeCheckpointError: it needs code to be run.
    """
    try:
        with path.open("rb") as file:
            start = file.read(4)
            file.seek(0)
            if start == ZIP_START:
                return _read_zip(file)
            if start[:2] == LEGACY_START:
                return _read_legacy(file, path.stat().st_size)
    except UnknownName as error:
        raise _refusal(path, f"{error}, which no DEXTR model needs", error.name) from None
    except UnsafeCheckpointError as error:
        raise _refusal(path, str(error), error.offender) from None
    except READER_ERRORS as error:
        raise CheckpointError(
            f"{path} is broken or incomplete ({error or type(error).__name__}); get it anew"
        ) from error
    raise CheckpointError(f"{path} is not a model file: it starts with {start!r}; expected safetensors or torch.save")


def _refusal(path: Path, reason: str, offender: str) -> UnsafeCheckpointError:
    advice = "Nothing was run. If you made this file yourself, load it with unsafe=True"
    return UnsafeCheckpointError(f"{path} is not loaded: {reason}. {advice}", offender)


def _read_zip(file: IO[bytes]) -> Any:
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename.partition("/")[2]: entry for entry in archive.infolist()}
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
            raise zipfile.BadZipFile("it is compressed, which torch.save never does")
        if "constants.pkl" in entries:
            raise UnsafeCheckpointError("it is a TorchScript archive, that is, a program", "TorchScript")
        if "byteorder" in entries and archive.read(entries["byteorder"]) != b"little":
            raise ValueError("its numbers are big-endian")
        storages: dict[str, torch.Tensor] = {}

        def load_storage(dtype: torch.dtype, key: str, count: int) -> torch.Tensor:
            if key not in storages:
                entry = entries[f"data/{key}"]
                _check_count(dtype, count, entry.compress_size)
                storages[key] = torch.empty(count, dtype=dtype)
                with archive.open(entry) as data:
                    _fill(storages[key], data)
            return storages[key]

        with archive.open(entries["data.pkl"]) as pickled:
            return ShellUnpickler(pickled, load_storage).load()


def _read_legacy(file: IO[bytes], file_size: int) -> Any:
    storages: dict[str, torch.Tensor] = {}

    def load_storage(dtype: torch.dtype, key: str, count: int) -> torch.Tensor:
        if key not in storages:
            _check_count(dtype, count, file_size)
            storages[key] = torch.empty(count, dtype=dtype)
        return storages[key]

    magic, protocol, system = (ShellUnpickler(file, load_storage).load() for _ in range(3))
    if magic != LEGACY_MAGIC or protocol != LEGACY_PROTOCOL or not system["little_endian"]:
        raise ValueError("it is a pickle, but not one of torch.save on a little-endian machine")
    result = ShellUnpickler(file, load_storage).load()
    for key in ShellUnpickler(file, load_storage).load():
        (count,) = struct.unpack("<q", file.read(8))
        if count != storages[key].numel():
            raise ValueError(f"storage {key} has {count} elements; its tensors need {storages[key].numel()}")
        _fill(storages.pop(key), file)
    if storages or file.read(1):
        raise ValueError("the tensors' data ends too early or too late")
    return result


def _check_count(dtype: torch.dtype, count: int, available: int) -> None:
    # Before anything is allocated: a broken or hostile file may claim any size.
    if not 0 <= count * dtype.itemsize <= available:
        raise ValueError(f"a storage of {count} elements does not fit into the file")


def _fill(flat: torch.Tensor, file: IO[bytes]) -> None:
    buffer = flat.view(torch.uint8).numpy().data
    while buffer:
        count = file.readinto(buffer)  # type: ignore[attr-defined]  # both kinds of files have it
        if not count:
            raise EOFError("the data of a tensor ends too early")
        buffer = buffer[count:]
