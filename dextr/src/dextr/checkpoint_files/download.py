"""Model files from the web, fetched once into a cache folder: `$XDG_CACHE_HOME/dextr`, by default `~/.cache/dextr`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from dextr.errors import DownloadError
from maskworks import cache
from maskworks.errors import CheckpointError
from maskworks_torch import download


def cache_folder() -> Path:
    """Where model files are kept."""
    return cache.cache_folder("dextr")


def cached_file(url: str, sha256: str) -> Path:
    """The file's place in the cache; a missing file is downloaded, see `maskworks_torch.download`.

    Args:
        url: its last part is the name of the file.
        sha256: the first digits of the file's SHA-256, in hexadecimal.

    Raises:
        DownloadError: it cannot be fetched, or it is another file.
    """
    try:
        return download.cached_file(url, cache_folder() / url.rpartition("/")[2], sha256, bar=_bar)
    except CheckpointError as error:
        raise DownloadError(str(error)) from error


@contextmanager
def _bar(name: str, total: int | None, done: int) -> Iterator[Callable[[int], object]]:
    with tqdm(total=total, initial=done, unit="B", unit_scale=True, desc=name, disable=None) as bar:
        yield bar.update
