"""Whether a folder can be written to, found out before there is work."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from maskworks.errors import reason_of


def folder_problem(folder: Path) -> str:
    """Why nothing can be written in a folder that exists, or that is to be made; "" if something can.

    Of a folder that is missing, its nearest existing parent is looked at. The system's answers about rights are not
    enough: they promise root that it may write in /proc.
    """
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        return f"{existing} is a file; expected a folder"
    if os.statvfs(existing).f_flag & os.ST_RDONLY:
        return f"{existing} is on a read-only file system; choose another folder"
    if not os.access(existing, os.W_OK | os.X_OK):
        return f"no permission to write in {existing}; change its owner or mode, or choose another folder"
    try:
        with tempfile.TemporaryFile(dir=existing):  # has no name, or not for long
            return ""
    except OSError as error:
        return f"no file can be made in {existing} ({reason_of(error)}); choose another folder"
