"""The content of an input file that was claimed, as long as it is what was found complete before."""

from __future__ import annotations

import os
from pathlib import Path

from maskworks.config import InputConfig
from maskworks.errors import BadImage, reason_of
from maskworks.images.reader import check_size
from maskworks.regular_file import content, open_regular
from maskworks.transports.folder.scan import Version, version


class NotComplete(Exception):
    """The file has changed since it was found complete, or another program has it in use: it has to wait again."""


def read_input(path: Path, seen: Version | None, limits: InputConfig) -> bytes:
    """The content of a file.

    Args:
        path: the file, or a link to it.
        seen: the version that was found complete; None if it is not known.
        limits: a larger file is not read.

    Raises:
        NotComplete: this is another version, or it has changed while it was read.
        ImageTooLarge: it is beyond the limits.
        BadImage: it is no regular file, or cannot be read.
    """
    try:
        with open_regular(path) as file:
            before = os.fstat(file.fileno())
            if seen is not None and version(before) != seen:
                raise NotComplete(path.name)
            check_size(before.st_size, limits)
            data = content(file, limits.max_bytes)
            if version(os.fstat(file.fileno())) != version(before):
                raise NotComplete(path.name)
            return data
    except BlockingIOError as error:
        raise NotComplete(path.name) from error
    except OSError as error:
        raise BadImage(f"{path.name}: cannot be read: {reason_of(error, file=True)}") from None
