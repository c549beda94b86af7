"""Embeddings in a folder that outlives the process and that any number of workers share.

A file is `<key>.safetensors`, with the checksum of its content beside the tensor. Files are renamed into place, so one
that is there is complete; what is damaged all the same is computed anew. A folder that cannot be written, or that is
full, costs a warning and the time to compute, nothing else. Files of other names are somebody else's and stay.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import time
import uuid
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from maskworks.atomic_write import write_file
from maskworks.regular_file import open_regular

log = logging.getLogger("maskworks.sam")

_SUFFIX = ".safetensors"
_OURS = re.compile(r"[0-9a-f]{40}\.safetensors")
_DRAFT = re.compile(r"\.[0-9a-f]{32}\.draft")
_LEFTOVER_SECONDS = 3600.0
_TOUCH_SECONDS = 60.0


class FolderCache:
    """Tensors by key in files, up to a number of bytes; the least recently used go first.

    A key is 40 hexadecimal digits; only such names count as files of the cache, and only they are ever removed.

    Args:
        folder: created when it is needed.
        most_bytes: limit of all files together.
        shape: of every tensor; a file with another one, or of another type than float32, counts as damaged.
    """

    def __init__(self, folder: Path, most_bytes: int, shape: tuple[int, ...]) -> None:
        self._folder, self._most, self._shape = folder, most_bytes, shape
        self._warned: set[str] = set()
        self._touched: set[str] = set()
        self._touched_since = time.monotonic()

    def path(self, key: str) -> Path:
        """The place of a tensor's file, which need not exist."""
        return self._folder / f"{key}{_SUFFIX}"

    def get(self, key: str) -> Tensor | None:
        """The tensor, if there is an undamaged file of it."""
        path = self.path(key)
        try:
            open_regular(path).close()  # safetensors would wait for a pipe
            with safe_open(path, "pt") as file:
                # A copy: the tensor is a view of the file, which may change or shrink after it was checked.
                tensor: Tensor = file.get_tensor("embedding").clone()
                checksum = (file.metadata() or {}).get("blake2b")
            if (tuple(tensor.shape), tensor.dtype) == (self._shape, torch.float32) and checksum == _checksum(tensor):
                self.touch(key)
                return tensor
            reason = "its shape, type or checksum is wrong"
        except FileNotFoundError:
            return None
        except (OSError, SafetensorError) as error:
            reason = str(error)
        log.warning("%s: damaged (%s); the embedding is computed again", path, reason)
        return None

    def put(self, key: str, tensor: Tensor) -> bool:
        """Keeps a tensor (float32, on the CPU), in place of older ones. Returns True if it is in the folder now."""
        data = save({"embedding": tensor.contiguous()}, {"blake2b": _checksum(tensor)})
        if len(data) > self._most:
            self._warn(f"an embedding of {len(data)} bytes is more than all together may take; nothing is kept there")
            return False
        draft = self._folder / f".{uuid.uuid4().hex}.draft"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._make_room(len(data))
            write_file(self.path(key), data, draft, durable="no")
        except OSError as error:
            self._warn(f"cannot be written: {error.strerror or error}; going on without it")
            return False
        return True

    def touch(self, key: str) -> None:
        """Notes in the folder that a tensor is in use, once a minute at most.

        Where that is not allowed, the age of the file is the time it was written.
        """
        now = time.monotonic()
        if now >= self._touched_since + _TOUCH_SECONDS:
            self._touched_since, self._touched = now, set()
        if key not in self._touched:
            self._touched.add(key)
            with suppress(OSError):
                os.utime(self.path(key))

    def _make_room(self, needed: int) -> None:
        """Removes the least recently used files, and half-written ones of dead workers."""
        files = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                try:
                    status = entry.stat()
                    if _OURS.fullmatch(entry.name):
                        files.append((status.st_mtime, status.st_size, entry.path))
                    elif _DRAFT.fullmatch(entry.name) and status.st_mtime < time.time() - _LEFTOVER_SECONDS:
                        Path(entry.path).unlink(missing_ok=True)
                except FileNotFoundError:  # another worker was faster
                    continue
        total = needed + sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self._most:
                break
            Path(path).unlink(missing_ok=True)
            total -= size

    def _warn(self, reason: str) -> None:
        if reason not in self._warned:
            self._warned.add(reason)
            log.warning("--embedding_cache %s: %s", self._folder, reason)


def _checksum(tensor: Tensor) -> str:
    return hashlib.blake2b(tensor.contiguous().numpy().data, digest_size=16).hexdigest()
