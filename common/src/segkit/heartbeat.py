"""Whether a worker is alive, for health checks: it writes a small file every few seconds, `--check` reads it."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

_INTERVAL = 3.0
_STALE = 15.0


class Heartbeat:
    """Says every three seconds that this process lives, and whether what it depends on answers.

    Args:
        name: of the command.
        probe: raises if the server does not answer; its text is what `--check` says then.
    """

    def __init__(self, name: str, probe: Callable[[], None]) -> None:
        self._path = folder() / f"{name}-{os.getpid()}.json"
        self._probe = probe
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join()
        self._path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while True:
            problem = ""
            try:
                self._probe()
            except Exception as error:  # noqa: BLE001 - whatever is wrong with the server, it does not answer
                problem = str(error) or type(error).__name__
            with contextlib.suppress(OSError):  # without a writable temporary folder there is no health check
                self._path.parent.mkdir(mode=0o700, exist_ok=True)
                _check_owner(self._path.parent)
                draft = self._path.with_suffix(".new")
                draft.write_text(json.dumps({"problem": problem}))
                draft.replace(self._path)
            if self._closed.wait(_INTERVAL):
                return


def check(name: str) -> str:
    """What is wrong with the workers of a command on this machine; "" if there is one and all are well."""
    problems, alive = [], 0
    if folder().exists():
        try:
            _check_owner(folder())
        except PermissionError as error:
            return str(error)
    for path in sorted(folder().glob(f"{name}-*.json")):
        if not _is_running(int(path.stem.rpartition("-")[2])):
            path.unlink(missing_ok=True)
            continue
        alive += 1
        age = time.time() - path.stat().st_mtime
        problem = json.loads(path.read_text())["problem"]
        if age > _STALE:
            problems.append(f"{path.stem}: no sign of life for {age:.0f} s")
        elif problem:
            problems.append(f"{path.stem}: {problem}")
    return "; ".join(problems) if alive else f"no {name} is running"


def folder() -> Path:
    """Where the files are: one folder per user in the folder for temporary files."""
    return Path(tempfile.gettempdir()) / f"segkit-{os.getuid()}"


def _check_owner(path: Path) -> None:
    """Everybody may write in the folder for temporary files; who was there first could lay links out for us to follow.

    Raises:
        PermissionError: the folder is another user's, or is open to others.
    """
    status = path.lstat()
    if status.st_uid != os.getuid() or not stat.S_ISDIR(status.st_mode) or status.st_mode & 0o077:
        raise PermissionError(f"{path} is not this user's own folder; remove it, or set TMPDIR to another place")


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
