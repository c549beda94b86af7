"""The cache of downloads: its folder, and the SHA-256 of its files."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def sha256(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_folder(name: str) -> Path:
    """`$XDG_CACHE_HOME/name`, by default `~/.cache/name`. It is not created."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / name
