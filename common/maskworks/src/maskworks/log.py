"""Logging to standard error, in step with a progress bar."""

from __future__ import annotations

import logging
import sys
import warnings

from maskworks.config import LogConfig


def set_up(config: LogConfig) -> None:
    """Sends the log to standard error; `verbose` adds details and times, `quiet` leaves warnings and errors."""
    level = logging.DEBUG if config.verbose else logging.WARNING if config.quiet else logging.INFO
    handler = _BesideProgressBar()
    style = "%(asctime)s %(levelname)s %(name)s: %(message)s" if config.verbose else "%(levelname)s: %(message)s"
    handler.setFormatter(_PlainInfo(style))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    # A broken image is answered with an error; what Pillow remarks on its way there would only fill the log.
    warnings.filterwarnings("ignore", module="PIL")
    for name in ("maskworks", "dextr"):
        logging.getLogger(name).setLevel(level)


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
    """Ordinary news need no level in front of them; control characters of file names stay on their line."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        first, newline, rest = text.partition("\n")
        if record.exc_info is None:
            first, newline, rest = text.replace("\n", "\\n"), "", ""
        first = first.replace("\r", "\\r").replace("\x1b", "\\x1b")
        return first.removeprefix("INFO: ") + newline + rest
