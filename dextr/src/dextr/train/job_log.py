"""Messages of a training: on standard output, above the progress bar, and in the job's log."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

from tqdm import tqdm

from dextr.errors import DextrError, TrainingError

# What takes a line: a `JobLog`, or its stand-in in a test.
Say: TypeAlias = Callable[[str], object]


class JobLog:
    """Takes lines. Errors that pass its exit are logged, too.

    A new log is removed again if a `DextrError` ends the job before `keep` was called: flags or data were wrong, and
    the same job can be started once they are corrected.

    Args:
        path: the log's file; lines are appended. None: no message, no file.
    """

    def __init__(self, path: Path | None) -> None:
        self._file = None
        self._path, self._kept = path, path is not None and path.exists()
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = path.open("a", encoding="utf-8")
            except OSError as error:
                raise TrainingError(
                    f"the log cannot be written: {error.strerror or error}; correct the permissions of {path}"
                ) from error

    def __call__(self, line: str) -> None:
        """Say a line."""
        if self._file is not None:
            tqdm.write(line, file=sys.stdout)
            sys.stdout.flush()
            self._write(line)

    def keep(self) -> None:
        """From here on the job has begun."""
        self._kept = True

    def __enter__(self) -> JobLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None or self._path is None:
            return
        if isinstance(error, DextrError):
            self._write(f"Error: {error}")
        elif error is not None:
            self._write("".join(traceback.format_exception(error)).rstrip())
        self._file.close()
        if isinstance(error, DextrError) and not self._kept:
            self._path.unlink(missing_ok=True)

    def _write(self, line: str) -> None:
        assert self._file is not None
        try:
            self._file.write(f"{line}\n")
            self._file.flush()
        except OSError as error:
            # A full disk is told once, by the checkpoint that does not fit.
            tqdm.write(f"the log cannot be written: {error}", file=sys.stderr)
