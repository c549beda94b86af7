"""The file that a config's MODEL.WEIGHTS names, downloaded once if it is elsewhere."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

from maskworks.cache import cache_folder
from maskworks.errors import CheckpointError as MaskworksCheckpointError
from maskworks_torch.download import cached_file
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
    if before is not None and before.is_file() and not path.exists():
        return before
    try:
        return cached_file(url, path)
    except MaskworksCheckpointError as error:
        raise CheckpointError(f"{error}, or give --weights") from None


def _place(url: str) -> Path:
    """Where a URL's file is kept. A config may come from a stranger: no URL leads out of the cache or to another's."""
    try:
        name, digest = urlsplit(url).path.rpartition("/")[2], hashlib.sha256(url.encode()).hexdigest()
    except ValueError:
        name, digest = "", ""
    if name in ("", ".", "..") or "\0" in name or len(name.encode()) > _LONGEST_NAME:
        raise CheckpointError(f"{url[:300]}: does not end in the name of a file; expected https://.../model.pkl")
    return cache_folder("tensormask") / digest[:16] / name


def _place_before(url: str) -> Path | None:
    """The place of detectron2's own files in earlier versions, by path alone."""
    parts = [part for part in urlsplit(url).path.split("/") if part]
    return cache_folder("tensormask").joinpath(*parts) if url.startswith(_ZOO) and ".." not in parts else None
