"""Embeddings in a folder that outlives the process and that any number of workers share.

A file is `<key>.safetensors`, with the checksum of its content beside the tensor. Files are renamed into place, so one
that is there is complete; what is damaged all the same is computed anew. A folder that cannot be written, or that is
full, costs a warning and the time to compute, nothing else.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
import uuid
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

log = logging.getLogger("segkit.sam")

_SUFFIX = ".safetensors"
_LEFTOVER_SECONDS = 3600.0


class FolderCache:
    """Tensors by key in files, up to a number of bytes; the least recently used go first.

    Args:
        folder: created when it is needed.
        most_bytes: what all files together may take.
        shape: of every tensor; a file with another one, or of another type than float32, counts as damaged.
    """

    def __init__(self, folder: Path, most_bytes: int, shape: tuple[int, ...]) -> None:
        self._folder, self._most, self._shape = folder, most_bytes, shape
        self._warned: set[str] = set()

    def get(self, key: str) -> Tensor | None:
        """The tensor, if there is an undamaged file of it."""
        path = self._folder / f"{key}{_SUFFIX}"
        try:
            with safe_open(path, "pt") as file:
                tensor: Tensor = file.get_tensor("embedding")
                checksum = (file.metadata() or {}).get("blake2b")
            if (tuple(tensor.shape), tensor.dtype) == (self._shape, torch.float32) and checksum == _checksum(tensor):
                self._touch(path)
                return tensor
            reason = "its shape, type or checksum is wrong"
        except FileNotFoundError:
            return None
        except (OSError, SafetensorError) as error:
            reason = str(error)
        log.warning("%s: damaged (%s); the embedding is computed again", path, reason)
        return None

    def put(self, key: str, tensor: Tensor) -> bool:
        """Keeps a tensor (float32, on the CPU), in place of older ones. Returns whether it is in the folder now."""
        data = save({"embedding": tensor.contiguous()}, {"blake2b": _checksum(tensor)})
        if len(data) > self._most:
            return False
        draft = self._folder / f".{uuid.uuid4().hex}.draft"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._make_room(len(data))
            try:
                draft.write_bytes(data)
                draft.replace(self._folder / f"{key}{_SUFFIX}")
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            self._warn(f"{error.strerror or error}")
            return False
        return True

    def _make_room(self, needed: int) -> None:
        """Removes the files that were not used for longest, and what workers that died left half-written."""
        files = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                try:
                    status = entry.stat()
                    if entry.name.endswith(_SUFFIX):
                        files.append((status.st_mtime, status.st_size, entry.path))
                    elif entry.name.endswith(".draft") and status.st_mtime < time.time() - _LEFTOVER_SECONDS:
                        Path(entry.path).unlink(missing_ok=True)
                except FileNotFoundError:  # another worker was faster
                    continue
        total = needed + sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self._most:
                break
            Path(path).unlink(missing_ok=True)
            total -= size

    def _touch(self, path: Path) -> None:
        """Notes that a file was used; where that is not allowed, its age is the time it was written."""
        try:
            os.utime(path)
        except OSError:
            return

    def _warn(self, reason: str) -> None:
        if reason not in self._warned:
            self._warned.add(reason)
            log.warning("--embedding_cache %s: cannot be written: %s; going on without it", self._folder, reason)


def _checksum(tensor: Tensor) -> str:
    return hashlib.blake2b(tensor.contiguous().numpy().data, digest_size=16).hexdigest()
