"""A lock for each name: files of one name are in work at one worker at a time, or their results would get mixed up."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from pathlib import Path

from maskworks.transports.folder.scan import same_form


class NameLock:
    """A lock on a name; the kernel lets go of it when the process ends, however it ends.

    Args:
        path: the lock's file.
        descriptor: the file, opened and locked.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, folder: Path, name: str) -> NameLock | None:
        """The lock on a name in all its forms of Unicode, kept as a file in `folder`; None while it is held.

        Raises:
            OSError: the folder cannot be written, or is gone.
        """
        path = folder / f"{hashlib.sha256(os.fsencode(same_form(name))).hexdigest()[:32]}.name"
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return None
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    return cls(path, descriptor)
            os.close(descriptor)  # its last owner removed it in the meantime

    def release(self) -> None:
        """Lets go of the name and removes the file, as far as the file system is still there."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
            with contextlib.suppress(OSError):  # the number is free even then, and must not be closed again
                os.close(descriptor)
