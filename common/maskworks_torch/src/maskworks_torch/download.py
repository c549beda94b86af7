"""Files from the web, fetched once; where their SHA-256 is known, a download that broke goes on where it stopped."""

from __future__ import annotations

import http
import http.client
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TypeAlias
from urllib.error import HTTPError

from maskworks import cache
from maskworks.atomic_write import move_file, replacing
from maskworks.errors import CheckpointError

if sys.platform != "win32":
    import fcntl

ATTEMPTS = 4  # with a connection that breaks
WAIT_S = 2.0  # before the second attempt; twice as long before each further one
TIMEOUT_S = 30.0
_CHUNK = 1 << 20

# Shows how far it is: from the file's name, its bytes (None: unknown) and those that are there, to what takes more.
Bar: TypeAlias = Callable[[str, int | None, int], AbstractContextManager[Callable[[int], object]]]


def _no_bar(_name: str, _total: int | None, _done: int) -> AbstractContextManager[Callable[[int], object]]:
    return nullcontext(lambda _: None)


def cached_file(url: str, path: Path, sha256: str | None = None, *, bar: Bar = _no_bar) -> Path:
    """A file at its place in a cache; if it is not there yet, it is downloaded.

    With a SHA-256 one process downloads while others wait, and a download that broke is kept beside its place as
    `.part` and continued by the next call. Without one nobody could say that both halves are of the same file: each
    process downloads for itself, and from the beginning.

    Args:
        url: where it is.
        path: its place. What is there already is taken as it is.
        sha256: the first digits of its SHA-256, in hexadecimal; None if nobody knows it.
        bar: shows how far it is.

    Raises:
        CheckpointError: it cannot be fetched, or it is another file.
    """
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if sha256 is None:
            with replacing(path) as draft:
                _fetch(url, draft, path.name, bar, resume=False)
        else:
            with _locked(path.with_name(f"{path.name}.lock")):
                if not path.is_file():
                    part = path.with_name(f"{path.name}.part")
                    _fetch_checked(url, part, path.name, sha256, bar)
                    move_file(part, path, durable="name")
    except (OSError, http.client.HTTPException, ValueError) as error:
        again = "" if sha256 is None else "try again to go on where it stopped, or "
        raise CheckpointError(
            f"{url}: cannot be downloaded: {error}; {again}fetch it elsewhere and save it as {path}"
        ) from error
    return path


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        if sys.platform != "win32":
            fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file is closed, also by a crash
        yield


def _fetch_checked(url: str, part: Path, name: str, sha256: str, bar: Bar) -> None:
    for _ in range(2):  # the start of the file may be left from another file: then once more from its beginning
        _fetch(url, part, name, bar, resume=True)
        digest = cache.sha256(part)
        if digest.startswith(sha256):
            return
        part.unlink()
    raise CheckpointError(
        f"{url}: gives a file whose SHA-256 starts with {digest[:16]}; expected {sha256}. It was removed. A proxy may "
        "have answered in place of the server; otherwise the file on the server has changed"
    )


def _fetch(url: str, part: Path, name: str, bar: Bar, *, resume: bool) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            if not resume:
                part.unlink(missing_ok=True)
            _fetch_rest(url, part, name, bar)
        except (OSError, http.client.HTTPException) as error:
            refused = isinstance(error, http.client.InvalidURL) or (isinstance(error, HTTPError) and error.code < 500)
            if attempt == ATTEMPTS or refused:
                raise
            time.sleep(WAIT_S * 2 ** (attempt - 1))
        else:
            return


def _fetch_rest(url: str, part: Path, name: str, bar: Bar) -> None:
    """Appends what is missing to the part."""
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_S)
    except HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        # Nothing is left to send: the part has all bytes, or more than the file.
        error.close()
        if error.headers.get("Content-Range") != f"bytes */{start}":
            part.unlink()
            _fetch_rest(url, part, name, bar)
        return
    with response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        if not resumed:
            start = 0  # the server does not know ranges and sends everything
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        with part.open("ab" if resumed else "wb") as file, bar(name, total, start) as advance:
            while chunk := response.read(_CHUNK):
                file.write(chunk)
                advance(len(chunk))
            if total is not None and file.tell() < total:
                raise ConnectionError(f"the connection ended after {file.tell()} of {total} bytes")
