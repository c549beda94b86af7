"""Putting files into their final place, whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path


def write_file(target: Path, data: bytes, draft: Path, beside: Path) -> None:
    """Writes `data` to `target`, which is there in full or not at all.

    Args:
        target: the final name; a file of that name is replaced.
        data: the content.
        draft: where the file is written first, on any file system.
        beside: a name in the target's folder, used if `draft` is on another file system.

    Raises:
        OSError: it could not be written; none of the three names is left behind.
    """
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        move_file(draft, target, beside)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def move_file(source: Path, target: Path, beside: Path) -> None:
    """Moves a file, replacing `target`; across file systems by way of a copy named `beside`, and the source goes last.

    Of a link the content is copied; one that leads nowhere is copied as a link.

    Raises:
        OSError: it could not be moved; `source` is still there, `beside` is not.
    """
    try:
        source.replace(target)
        return
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    try:
        whole = os.path.exists(source)  # noqa: PTH110 - that of pathlib raises for some links
        shutil.copy2(source, beside, follow_symlinks=whole)
        if whole:
            with beside.open("rb") as file:
                os.fsync(file.fileno())
        beside.replace(target)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    source.unlink()
