"""Weights that MMEngine downloads: where they are kept, and what to do without a network."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch

from maskworks.commands.run import say
from maskworks.errors import CheckpointError
from maskworks_torch.download import cached_file

_HASHED = re.compile(r"-([0-9a-f]{8,})\.\w+$")  # the names of torchvision's files have the start of their SHA-256
_TORCHVISION = "download.pytorch.org"


def fetched(url: str, folder: str | None = None) -> Path:
    """The file of a URL, downloaded if it is not in its place yet, which is that of torch.

    Args:
        url: of any file of weights.
        folder: the place, instead of torch's.

    Raises:
        CheckpointError: it cannot be downloaded; it says which file to put where.
    """
    address = urlparse(url)
    name = Path(address.path).name
    if not name:
        raise CheckpointError(f"{url}: names no file; expected the URL of a checkpoint")
    path = (Path(folder) if folder else Path(torch.hub.get_dir()) / "checkpoints") / name
    known = _HASHED.search(name) if address.hostname == _TORCHVISION else None
    if not path.is_file():
        say(f"downloading {url} to {path}")
    return cached_file(url, path, known[1] if known else None)


def load_url_with(load: Any) -> Any:
    """A `load_url` for MMEngine that reads files with `load(path, map_location)`."""

    def load_url(url: str, model_dir: str | None = None, map_location: Any = None, **_: Any) -> Any:
        return load(str(fetched(url, model_dir)), map_location=map_location)

    return load_url
