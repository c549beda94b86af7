"""Logging to standard error, in step with a progress bar, as lines for people or as JSON."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from types import TracebackType

from maskworks.config import LogConfig
from maskworks.printable import printable
from maskworks.wire.log_line import encode_log_line


class _Form:
    """The form of what this process says, until a command has read its flags."""

    json = False


def set_up(config: LogConfig) -> None:
    """Sends the log to standard error; `verbose` adds details and times, `quiet` leaves warnings and errors."""
    level = logging.DEBUG if config.verbose else logging.WARNING if config.quiet else logging.INFO
    handler = _BesideProgressBar()
    style = "%(asctime)s %(levelname)s %(name)s: %(message)s" if config.verbose else "%(levelname)s: %(message)s"
    choose(config.log_format)
    handler.setFormatter(_Json() if _Form.json else _PlainInfo(style))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(_Form.json)
    # A broken image is answered with an error; what Pillow remarks on its way there would only fill the log.
    warnings.filterwarnings("ignore", module="PIL")
    for name in ("maskworks", "dextr"):
        logging.getLogger(name).setLevel(level)


def choose(log_format: str) -> None:
    """Sets the form of `say`, as `--log_format` names it."""
    _Form.json = log_format == "json"


def say(text: str, level: str = "info") -> None:
    """One line for people, on standard error, however little the log says."""
    line = printable(text)
    if _Form.json:
        line = encode_log_line(time.time(), level, "maskworks", line)
    print(line, file=sys.stderr, flush=True)  # noqa: T201


class _BesideProgressBar(logging.Handler):
    """Writes lines above the progress bar, if one is drawn, instead of through it."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
            tqdm = sys.modules.get("tqdm")
            if tqdm is None:
                print(line, file=sys.stderr, flush=True)  # noqa: T201
            else:
                tqdm.tqdm.write(line, file=sys.stderr)
        except (OSError, ValueError):  # a disk that is full is no reason to stop working
            self.handleError(record)


class _PlainInfo(logging.Formatter):
    """Ordinary news need no level in front of them. A traceback is indented: no line in it looks like a message."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return printable(super().formatMessage(record)).removeprefix("INFO: ")

    def formatException(self, ei: _Raised) -> str:
        return "\n".join("  " + printable(line) for line in super().formatException(ei).split("\n"))


class _Json(logging.Formatter):
    """One object a line."""

    def format(self, record: logging.LogRecord) -> str:
        exception = "" if record.exc_info is None else self.formatException(record.exc_info)
        message = printable(record.getMessage())
        return encode_log_line(record.created, record.levelname.lower(), record.name, message, exception)

    def formatException(self, ei: _Raised) -> str:
        return "\n".join(map(printable, super().formatException(ei).split("\n")))


_Raised = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
