"""Whether a worker is alive and ready, for health checks: it writes a small file every few seconds, `--check` reads it.

It holds a lock on its file, which the kernel lets go of when the process ends, however it ends: the number in the name
may belong to another process by then, or come from another container.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from maskworks.atomic_write import replacing
from maskworks.errors import ConfigError, TransportError
from maskworks.liveness import Liveness

_INTERVAL = 3.0
_STALE = 15.0
_NOT_READY = "is not ready yet"


class Heartbeat:
    """Says every three seconds that this process lives, that its main loop does, and that its server answers.

    The server is asked in a thread of its own, as it can take long while it, or the names of servers, are away.

    Args:
        name: of the command.
        probe: raises if the server does not answer; its text is what `--check` says then.
        liveness: of the main loop.

    Attributes:
        probe: the same; it may be set later, until then the command is not ready.
    """

    def __init__(self, name: str, probe: Callable[[], None] | None = None, liveness: Liveness | None = None) -> None:
        self._path = folder() / f"{name}-{os.getpid()}.json"
        self.probe = probe or _not_ready
        self._liveness = liveness or Liveness()
        self._problem = _NOT_READY
        self._asked_since: float | None = None
        self._file: IO[str] | None = None
        self._closed, self._news = threading.Event(), threading.Event()
        self._asking = threading.Thread(target=self._ask, name="probe", daemon=True)
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._asking.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Does not wait for what is being asked."""
        self._closed.set()
        self._news.set()
        self._thread.join()
        if self._file is not None:
            self._path.unlink(missing_ok=True)
            self._file.close()

    def _ask(self) -> None:
        while True:
            self._asked_since = time.monotonic()
            problem = ""
            try:
                self.probe()
            except Exception as error:  # noqa: BLE001 - whatever is wrong with the server, it does not answer
                problem = str(error) or type(error).__name__
            self._problem, self._asked_since = problem, None
            self._news.set()
            if self._closed.wait(_INTERVAL):
                return

    def _beat(self) -> None:
        while True:
            self._news.wait(_INTERVAL)
            self._news.clear()
            if self._closed.is_set():
                return
            since = self._asked_since
            waits = since is not None and time.monotonic() - since > _STALE
            with contextlib.suppress(OSError):  # without a writable temporary folder there is no health check
                problem = "its server does not answer" if waits else self._problem
                self._write(json.dumps({"stuck": self._liveness.problem, "problem": problem}))

    def _write(self, text: str) -> None:
        """A new file takes the place of the one before; each is locked for as long as it has its name."""
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        _check_owner(self._path.parent)
        with contextlib.ExitStack() as on_failure:
            with replacing(self._path, self._path.with_suffix(".new"), durable="no") as draft:
                file = on_failure.enter_context(draft.open("w"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                file.write(text)
                file.flush()
            on_failure.pop_all()
        if self._file is not None:
            self._file.close()
        self._file = file


def _not_ready() -> None:
    raise TransportError(_NOT_READY)


def check(name: str, *, live: bool = False) -> str:
    """What is wrong with the workers of a command on this machine; "" if there is one and all are well.

    With `live` only they and their main loops need to live: what they depend on may be away.
    """
    problems, alive = [], 0
    if folder().exists():
        try:
            _check_owner(folder())
        except PermissionError as error:
            return str(error)
    for path in sorted(folder().glob(f"{name}-*.json")):
        beat = _last_beat(path)
        if beat is None:
            continue
        alive += 1
        stuck, problem, age = beat
        if age > _STALE:
            problems.append(f"{path.stem}: no sign of life for {age:.0f} s")
        elif stuck:
            problems.append(f"{path.stem}: {stuck}")
        elif problem and not live:
            problems.append(f"{path.stem}: {problem}")
    return "; ".join(problems) if alive else f"no {name} is running"


def folder() -> Path:
    """Where the files are: one folder per user in the folder for temporary files.

    Raises:
        ConfigError: there is none of these.
    """
    try:
        return Path(tempfile.gettempdir()) / f"maskworks-{os.getuid()}"
    except FileNotFoundError:
        problem = "no folder for temporary files can be written to; --check needs one: name it in TMPDIR"
        raise ConfigError([problem]) from None


def _check_owner(path: Path) -> None:
    """Everybody may write in the folder for temporary files; who was there first could lay links out for us to follow.

    Raises:
        PermissionError: the folder is another user's, or is open to others.
    """
    status = path.lstat()
    if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode) or status.st_mode & 0o077:
        raise PermissionError(f"{path} is not this user's own folder; remove it, or set TMPDIR to another place")


def _last_beat(path: Path) -> tuple[str, str, float] | None:
    """What a living worker wrote: why it is stuck, why it is not ready, and the seconds since then.

    None if it is gone; its file is then removed.
    """
    while True:
        try:
            file = path.open()
        except FileNotFoundError:
            return None
        with file:
            status = os.fstat(file.fileno())
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                beat = json.load(file)
                return (
                    beat.get("stuck", ""),
                    beat["problem"],
                    time.time() - status.st_mtime,
                )  # older ones lack the first
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(status, path.stat()):  # else a living worker has just put a new file there
                    path.unlink()
                    return None
