"""Files that `torch.save` wrote, in both of its formats, read without running anything from them.

* zip (torch 1.6 and later): `data.pkl` is the pickle, `data/<key>` are the storages.
* legacy: one after the other the pickles of a magic number, a protocol version, facts about the system, the object, and
  the storages' keys; then for each key an int64 count and the raw elements.

What is made of a file takes no more memory than a multiple of it: nothing is unpacked, no storage is larger than what
the file has of it, and the pickles have an allowance.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
from collections.abc import Callable
from typing import IO, Any, TypeAlias

import torch

from maskworks_torch.closed_unpickler import UnknownName
from maskworks_torch.tensor_unpickler import MOST_TENSORS, LoadStorage, TensorUnpickler

ZIP_START = b"PK\x03\x04"
LEGACY_START = b"\x80\x02"
TORCHSCRIPT = "TorchScript"
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
_MOST_DIRECTORY = 16 << 20  # bytes: 100 000 tensors have less

# Makes the unpickler for a file at the start of a pickle, what gives its storages, and the size of the whole file.
NewUnpickler: TypeAlias = Callable[[IO[bytes], LoadStorage, int], TensorUnpickler]


def read(file: IO[bytes], new_unpickler: NewUnpickler = TensorUnpickler) -> Any:
    """The object in the file: plain values, tensors on the CPU, and what the unpickler makes of other names.

    Args:
        file: open in binary mode, at its start.
        new_unpickler: makes the reader of a pickle.

    Raises:
        UnknownName: the file asks for something that is in no table, or is a TorchScript archive, a program.
        checkpoints.READER_ERRORS: it is in neither format, broken, or would take more than a multiple of its size.
    """
    start, size = file.read(4), file.seek(0, os.SEEK_END)
    file.seek(0)
    if start == ZIP_START:
        return _read_zip(file, size, new_unpickler)
    if start.startswith(LEGACY_START):
        return _read_legacy(file, size, new_unpickler)
    raise ValueError(f"it starts with {start!r}, as no file of torch.save does")


def _read_zip(file: IO[bytes], size: int, new_unpickler: NewUnpickler) -> Any:
    guarded = _Guarded(file)
    with zipfile.ZipFile(guarded) as archive:  # what it calls is there
        guarded.most = size
        entries = {entry.filename.partition("/")[2]: entry for entry in archive.infolist()}
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries.values()):
            raise zipfile.BadZipFile("it is compressed, which torch.save never does")
        if len(entries) > MOST_TENSORS:
            raise zipfile.BadZipFile(f"it has more than {MOST_TENSORS} parts")
        if sum(entry.file_size for entry in entries.values()) > size:
            raise zipfile.BadZipFile("its parts overlap")
        if "constants.pkl" in entries:
            raise UnknownName(TORCHSCRIPT)
        if "byteorder" in entries and archive.read(entries["byteorder"]) != b"little":
            raise ValueError("its numbers are big-endian")
        storages: dict[str, torch.Tensor] = {}

        def load_storage(dtype: torch.dtype, key: str, count: int) -> torch.Tensor:
            if key not in storages:
                entry = entries[f"data/{key}"]
                _check_count(dtype, count, entry.file_size)
                storages[key] = torch.empty(count, dtype=dtype)
                with archive.open(entry) as data:
                    _fill(storages[key], data)
            return storages[key]

        # At once, as a pickle is read byte by byte.
        return new_unpickler(io.BytesIO(archive.read(entries["data.pkl"])), load_storage, size).load()


def _read_legacy(file: IO[bytes], size: int, new_unpickler: NewUnpickler) -> Any:
    storages: dict[str, torch.Tensor] = {}
    room = size

    def load_storage(dtype: torch.dtype, key: str, count: int) -> torch.Tensor:
        nonlocal room
        if key not in storages:
            _check_count(dtype, count, room)
            room -= count * dtype.itemsize
            storages[key] = torch.empty(count, dtype=dtype)
        return storages[key]

    magic, protocol, system = (new_unpickler(file, load_storage, size).load() for _ in range(3))
    if magic != LEGACY_MAGIC or protocol != LEGACY_PROTOCOL or not system["little_endian"]:
        raise ValueError("it is a pickle, but not one of torch.save on a little-endian machine")
    result = new_unpickler(file, load_storage, size).load()
    for key in new_unpickler(file, load_storage, size).load():
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


class _Guarded:
    """An archive while its directory is read, which takes ten times its size in memory.

    Attributes:
        most: bytes that are read at once.
    """

    most = _MOST_DIRECTORY

    def __init__(self, file: IO[bytes]) -> None:
        self._read, self.seek, self.tell, self.seekable = file.read, file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        """As of a file; a longer read is refused. One to the end of the file is that of the archive's last record."""
        if size > self.most:
            raise zipfile.BadZipFile("its directory is larger than that of any model")
        return self._read(size)
