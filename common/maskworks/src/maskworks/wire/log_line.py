"""One message of a program as JSON: `time`, `level`, `logger`, `message`, and `exception` where there was one."""

from __future__ import annotations

from datetime import UTC, datetime

from maskworks.wire import jsontext


def encode_log_line(seconds: float, level: str, logger: str, message: str, exception: str = "") -> str:
    """The text, without a newline.

    Args:
        seconds: when, since 1970.
        level: `debug`, `info`, `warning`, `error` or `critical`.
        logger: the part of the program.
        message: one line.
        exception: the traceback, "" if there is none.
    """
    time = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = {"time": time, "level": level, "logger": logger, "message": message}
    if exception:
        line["exception"] = exception
    return jsontext.write(line).decode()
