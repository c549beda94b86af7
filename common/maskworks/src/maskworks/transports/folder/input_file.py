"""The content of input files that were claimed, as long as they are what was found complete before."""

from __future__ import annotations

import os
from pathlib import Path

from maskworks.config import InputConfig
from maskworks.errors import BadImage, reason_of
from maskworks.images.limits import check_size
from maskworks.regular_file import content, open_regular
from maskworks.transports.folder.claims import Claim
from maskworks.transports.folder.scan import Version, version


class NotComplete(Exception):
    """The file has changed since it was found complete, or another program has it in use: it has to wait again."""


class InputFiles:
    """Reads the files of claims.

    Args:
        limits: larger files are not read.
    """

    def __init__(self, limits: InputConfig) -> None:
        self._limits = limits
        self._refused: dict[str, tuple[Version, ...]] = {}  # what was found complete, and was not when it was read

    def read(self, claim: Claim) -> list[bytes]:
        """The content of the image, and of the prompt if there is one.

        On some file systems the look at a folder tells another time of a file than the file itself. A version that has
        been refused is not compared again when it comes unchanged, or it would come for ever.

        Raises:
            NotComplete, ImageTooLarge, BadImage: as of `read_input`.
        """
        files = [path for path in (claim.image, claim.prompt) if path is not None]
        known = bool(claim.seen) and claim.seen != self._refused.pop(claim.stem, None)
        seen = claim.seen if known else (None,) * len(files)
        try:
            return [read_input(path, version, self._limits) for path, version in zip(files, seen, strict=True)]
        except NotComplete:
            self._refused[claim.stem] = claim.seen
            raise


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
            if before.st_size:  # of what is empty its reader knows if it is an image or a prompt
                check_size(before.st_size, limits)
            data = content(file, limits.max_bytes)
            if version(os.fstat(file.fileno())) != version(before):
                raise NotComplete(path.name)
            return data
    except BlockingIOError as error:
        raise NotComplete(path.name) from error
    except OSError as error:
        raise BadImage(f"{path.name}: cannot be read: {reason_of(error, file=True)}") from None
