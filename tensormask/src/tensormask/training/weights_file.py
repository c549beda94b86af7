"""The file that a config's MODEL.WEIGHTS names, downloaded once if it is elsewhere."""

from __future__ import annotations

import hashlib
import os
import shutil
import urllib.request
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from tensormask.errors import CheckpointError

_ZOO = "https://dl.fbaipublicfiles.com/detectron2/"
_LONGEST_NAME = 200  # bytes; file systems allow 255, and a download has a longer one


def weights_file(name: str) -> Path | None:
    """The path of weights, or None if no name is given.

    `detectron2://...` and URLs are kept in `$XDG_CACHE_HOME/tensormask`, by default `~/.cache/tensormask`.

    Raises:
        CheckpointError: they cannot be downloaded.
    """
    if not name:
        return None
    url = _ZOO + name.removeprefix("detectron2://") if name.startswith("detectron2://") else name
    if not url.startswith(("http://", "https://")):
        return Path(name)
    path, before = _place(url), _place_before(url)
    if path.exists():
        return path
    if before is not None and before.is_file():
        return before
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with urllib.request.urlopen(url, timeout=60) as source, part.open("wb") as file:
            shutil.copyfileobj(source, file)
            expected = source.headers.get("Content-Length")
            if expected is not None and file.tell() != int(expected):
                raise OSError(f"{file.tell()} of {expected} bytes arrived")
        part.replace(path)
    except (OSError, HTTPException, ValueError) as error:
        raise CheckpointError(
            f"{url}: cannot be downloaded: {error}; fetch it elsewhere and save it as {path}, or give --weights"
        ) from None
    finally:
        part.unlink(missing_ok=True)
    return path


def _place(url: str) -> Path:
    """Where a URL's file is kept. A config may come from a stranger: no URL leads out of the cache or to another's."""
    try:
        name, digest = urlsplit(url).path.rpartition("/")[2], hashlib.sha256(url.encode()).hexdigest()
    except ValueError:
        name, digest = "", ""
    if name in ("", ".", "..") or "\0" in name or len(name.encode()) > _LONGEST_NAME:
        raise CheckpointError(f"{url[:300]}: does not end in the name of a file; expected https://.../model.pkl")
    return _cache() / digest[:16] / name


def _place_before(url: str) -> Path | None:
    """Where earlier versions kept what is detectron2's own, by its path alone."""
    parts = [part for part in urlsplit(url).path.split("/") if part]
    return _cache().joinpath(*parts) if url.startswith(_ZOO) and ".." not in parts else None


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tensormask"
