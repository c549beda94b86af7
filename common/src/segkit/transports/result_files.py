"""The files that a result becomes in the output folder, and to which image the ones that are there belong."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from segkit.errors import BadImage
from segkit.transports.arrivals import IMAGE_SUFFIXES
from segkit.transports.claims import Claim

_LONGEST_NAME = 255  # bytes, on all common file systems
_EXTENSIONS = sorted(IMAGE_SUFFIXES | {suffix.upper() for suffix in IMAGE_SUFFIXES})


class ResultFiles:
    """Names the files of a result.

    Args:
        folder: the output folder.
        suffixes: for each part of an outcome what is added to the stem for its file name; the last one tells readers
            that the rest is there.
    """

    def __init__(self, folder: Path, suffixes: Mapping[str, str]) -> None:
        self._folder, self._suffixes = folder, suffixes
        self._last = list(suffixes.values())[-1]
        self._writing: dict[str, str] = {}
        self._lock = threading.Lock()

    def names(self, claim: Claim, parts: Collection[str]) -> dict[str, str]:
        """The file name of each part, in the order in which they are to be written.

        Raises:
            BadImage: the image's name is too long for them.
        """
        inputs = {path.name for path in (claim.image, claim.prompt) if path is not None}
        names = {}
        for part, suffix in self._suffixes.items():
            if part in parts:
                usual = f"{claim.stem}{suffix}"
                names[part] = usual if usual not in inputs else f"{claim.stem}-{part}{suffix}"  # a PNG image's mask
        if any(len(os.fsencode(name)) > _LONGEST_NAME for name in names.values()):
            raise BadImage(f"{claim.stem}: the name is too long for files named after it; shorten it")
        return names

    @contextmanager
    def reserved(self, image: str, names: Collection[str]) -> Iterator[None]:
        """Keeps names, those of an image's results and its own if it is to be moved, while they are written.

        Files of an earlier run of the same image may be there, they are replaced.

        Raises:
            BadImage: files of another image have these names.
        """
        mine = set(names)
        with self._lock:
            writing = (self._writing[name] for name in sorted(mine & self._writing.keys()))
            other = next(writing, None) or self._owner(image, mine)
            if other is not None:
                raise BadImage(
                    f"{image}: the output folder has {other}, whose files would be replaced by those of this one; "
                    "rename one of them"
                )
            self._writing.update(dict.fromkeys(mine, image))
        try:
            yield
        finally:
            with self._lock:
                for name in mine:
                    del self._writing[name]

    def _owner(self, image: str, mine: Collection[str]) -> str | None:
        """Another image in the output folder to which one of these names belongs."""
        if not any(self._has(name) for name in mine):
            return None
        stem = os.path.splitext(image)[0]
        for extension in _EXTENSIONS:
            other = f"{stem}{extension}"
            if other != image and self._has(other) and (other not in mine or self._is_image(other, stem)):
                return other
        for name in mine:
            other = os.path.splitext(name)[0]
            if other != stem and self._has(name) and self._has(f"{other}{self._last}"):
                return name
        return self._maker(image) if image in mine and not self._has(f"{stem}{self._last}") else None

    def _is_image(self, name: str, stem: str) -> bool:
        """Whether a file that is called like a result is an image: then this result had to take another name."""
        return any(
            name == f"{stem}{suffix}" and self._has(f"{stem}-{part}{suffix}") for part, suffix in self._suffixes.items()
        )

    def _maker(self, name: str) -> str | None:
        """The image that a file is a result of."""
        for part, suffix in self._suffixes.items():
            for end in (suffix, f"-{part}{suffix}"):
                stem = name.removesuffix(end)
                if end.startswith("-") and stem != name and self._has(name) and self._has(f"{stem}{self._last}"):
                    return next((f"{stem}{e}" for e in _EXTENSIONS if self._has(f"{stem}{e}")), f"{stem}{suffix}")
        return None

    def _has(self, name: str) -> bool:
        return os.path.lexists(self._folder / name)
