"""Commands run in this process, for tests of what they say and write: in another one each loads torch anew."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr

import pytest

from maskworks import freed_memory


def run_here(command: Callable[[list[str]], int], *flags: object) -> tuple[int, str]:
    """The exit code of a command, called with its flags, and what it wrote to standard error."""
    with _own_settings() as said:
        try:
            code = command([str(flag) for flag in flags])
        except SystemExit as stop:  # of argparse
            code = int(stop.code or 0)
    return code, said.getvalue()


@contextmanager
def _own_settings() -> Iterator[io.StringIO]:
    """Standard error; logging and memory of this process are afterwards as they were."""
    loggers = [logging.getLogger(name) for name in (None, "maskworks", "dextr")]
    before = [(logger, logger.level, logger.handlers[:]) for logger in loggers]
    said = io.StringIO()
    try:
        with redirect_stderr(said), pytest.MonkeyPatch.context() as patch:
            patch.setattr(freed_memory, "keep_freed_memory", lambda: False)  # could not be undone
            yield said
    finally:
        for logger, level, handlers in before:
            logger.setLevel(level)
            logger.handlers[:] = handlers
