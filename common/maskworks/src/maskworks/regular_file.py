"""Reading files that strangers name or put somewhere: regular ones only, without waiting, and bounded.

A name says nothing about what is behind it, links least of all. A pipe waits for a writer, a device has no end, and
files of `/proc` say that they are regular and empty, and wait or go on without end all the same. So the kind is looked
at before the opening, which can do harm to a device, and once more on the descriptor, as the file may have been
replaced in between; and no more is read than the size says.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

# Of a pipe or a terminal that came in between; the first two are no flags of every system.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)


def open_regular(path: Path) -> BinaryIO:
    """Opens a regular file for reading, also behind links.

    Raises:
        BlockingIOError: another program has a lease on it, as file servers have on what their clients write.
        OSError: it is no regular file, or cannot be opened.
    """
    _check(path.stat(), path)
    file = os.fdopen(os.open(path, _FLAGS), "rb")
    try:
        _check(os.fstat(file.fileno()), path)
    except OSError:
        file.close()
        raise
    return file


def content(file: BinaryIO, most: int) -> bytes:
    """All that a file of `open_regular` holds.

    Raises:
        OSError: it has more than `most` bytes, or cannot be read.
    """
    size = os.fstat(file.fileno()).st_size
    if size > most:
        raise OSError(errno.EFBIG, f"is larger than {most} bytes", file.name)
    data = file.read(size)
    if data is None:
        raise OSError(errno.EIO, "does not give its content", file.name)
    return data


def read_regular(path: Path, most: int) -> bytes:
    """The content of a regular file, also behind links.

    Raises:
        OSError: it is no regular file, has more than `most` bytes, or cannot be read.
    """
    with open_regular(path) as file:
        return content(file, most)


def _check(state: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(state.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(state.st_mode):
        raise OSError(errno.EINVAL, "is no regular file", str(path))
