"""Model files from the web, fetched once into a cache folder: `$XDG_CACHE_HOME/dextr`, by default `~/.cache/dextr`."""

from __future__ import annotations

import hashlib
import http
import http.client
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tqdm import tqdm

from dextr.errors import DownloadError

if sys.platform != "win32":
    import fcntl

ATTEMPTS = 4  # with a connection that breaks; each goes on where the last one ended
WAIT_S = 2.0  # before the second attempt; twice as long before each further one
TIMEOUT_S = 30.0
_CHUNK = 1 << 20


def cache_folder() -> Path:
    """Where model files are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "dextr")


def cached_file(url: str, sha256: str) -> Path:
    """The file's place in the cache; what is not there yet is downloaded, by one process while others wait.

    A broken download is kept beside its place as `.part` and continued by the next call.

    Args:
        url: its last part is the name of the file.
        sha256: the first digits of the file's SHA-256, in hexadecimal.

    Raises:
        DownloadError: it cannot be fetched, or it is another file.
    """
    path = cache_folder() / url.rpartition("/")[2]
    if path.is_file():
        return path
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_name(path.name + ".lock")):
            if not path.is_file():
                _download(url, part, sha256)
                part.replace(path)
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(
            f"{url} cannot be downloaded ({error}). Try again to go on where it stopped, or fetch the file elsewhere "
            f"and put it at {path}"
        ) from error
    return path


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        if sys.platform != "win32":
            fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file is closed, also by a crash
        yield


def _download(url: str, part: Path, sha256: str) -> None:
    for _ in range(2):  # the start of the file may be left from another file: then once more from its beginning
        _fetch(url, part)
        digest = _sha256(part)
        if digest.startswith(sha256):
            return
        part.unlink()
    raise DownloadError(
        f"{url} gives a file whose SHA-256 starts with {digest[:16]}; expected {sha256}. It was removed. A proxy may "
        "have answered in place of the server; otherwise the file on the server has changed"
    )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _fetch(url: str, part: Path) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _fetch_rest(url, part)
        except (OSError, http.client.HTTPException) as error:
            if attempt == ATTEMPTS or (isinstance(error, HTTPError) and error.code < 500):
                raise
            time.sleep(WAIT_S * 2 ** (attempt - 1))
        else:
            return


def _fetch_rest(url: str, part: Path) -> None:
    """Appends what is missing to the part."""
    start = part.stat().st_size if part.exists() else 0
    try:
        response = urlopen(Request(url, headers={"Range": f"bytes={start}-"} if start else {}), timeout=TIMEOUT_S)
    except HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        # Nothing is left to send: the part has all bytes, or more than the file.
        error.close()
        if error.headers.get("Content-Range") != f"bytes */{start}":
            part.unlink()
            _fetch_rest(url, part)
        return
    with response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        if not resumed:
            start = 0  # the server does not know ranges and sends everything
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        with (
            part.open("ab" if resumed else "wb") as file,
            tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=part.stem, disable=None) as bar,
        ):
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
            if total is not None and file.tell() < total:
                raise ConnectionError(f"the connection ended after {file.tell()} of {total} bytes")
