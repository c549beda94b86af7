"""Putting files into their final place, whole or not at all.

A file is written under another name, a draft, and renamed: whenever the process stops, under the final name is the old
file or the new one. How much of that outlives a loss of power is a matter of `durable`, as waiting for a disk takes
time:

* `no`: the file may be empty. For what can be made anew, and is checked when it is read.
* `content`: the file is on the disk before it gets its name, so it is the old or the new one, whole.
* `name`: its folder is on the disk, too, so it is the new one as soon as the call returns. For checkpoints; for the
  results of a folder of images it would double the time to write them.
"""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeAlias

Durability: TypeAlias = Literal["no", "content", "name"]

# Of a folder that may be written but not read, and of file systems that know no such thing.
_FOLDER_CANNOT_BE_SYNCED = {errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP, errno.EBADF}


def write_file(
    target: Path,
    data: bytes,
    draft: Path | None = None,
    beside: Path | None = None,
    *,
    durable: Durability = "name",
) -> None:
    """Writes `data` to `target`; the arguments are those of `replacing`.

    Raises:
        OSError: it could not be written; none of the three names is left behind.
    """
    with replacing(target, draft, beside, durable=durable) as path:
        path.write_bytes(data)


@contextmanager
def replacing(
    target: Path, draft: Path | None = None, beside: Path | None = None, *, durable: Durability = "name"
) -> Iterator[Path]:
    """Gives the name under which to write a file, which gets its final name at the end of the block.

    If the block or the renaming fails, the draft is removed and `target` is as it was.

    Args:
        target: the final name; a file of that name is replaced.
        draft: where the file is written first; what is there is removed. Default: a name of its own in the target's
            folder, so that any number of processes may write the same target.
        beside: a name in the target's folder, used if `draft` is on another file system.
        durable: what is on the disk when this returns, see above.

    Raises:
        OSError: it could not be put into its place; names a file.
    """
    path = draft or target.with_name(f".{uuid.uuid4().hex}.part")
    try:
        path.unlink(missing_ok=True)
        with _naming(target):
            yield path
        move_file(path, target, beside, durable=durable)
    finally:
        path.unlink(missing_ok=True)


def move_file(source: Path, target: Path, beside: Path | None = None, *, durable: Durability = "no") -> None:
    """Moves a file, replacing `target`; across file systems by way of a copy named `beside`, and the source goes last.

    A link stays a link: its target is neither read nor copied, wherever it leads.

    Args:
        source: the file.
        target: its new name.
        beside: a name in the target's folder. None: `source` is on the same file system.
        durable: what is on the disk when this returns; a copy always is, before the source goes.

    Raises:
        OSError: it could not be moved; `source` is still there, `beside` is not.
    """
    if durable != "no":
        _sync(source)
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV or beside is None:
            raise
        _copy(source, target, beside)
        source.unlink()
    if durable == "name":
        _sync_folder(target.parent)


def _copy(source: Path, target: Path, beside: Path) -> None:
    try:
        if source.is_symlink():
            beside.symlink_to(source.readlink())
        else:
            shutil.copy2(source, beside, follow_symlinks=False)
            _sync(beside)
        beside.replace(target)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Names the file in an error: Python does so where a file is opened, and not where it is written."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = os.fspath(path)
        raise


def _sync(path: Path) -> None:
    with path.open("rb") as file, _naming(path):
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return  # Windows has no such thing
    try:
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)
    except OSError as error:
        if error.errno not in _FOLDER_CANNOT_BE_SYNCED:
            raise
