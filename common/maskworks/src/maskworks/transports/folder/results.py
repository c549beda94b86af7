"""The files that a result becomes in the output folder, and to which image the ones that are there belong."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from maskworks.errors import BadImage
from maskworks.transports.folder.claims import Claim
from maskworks.transports.folder.scan import image_names
from maskworks.wire.png_source import source_of

_LONGEST_NAME = 255  # bytes, on all common file systems


class ResultFiles:
    """Names the files of a result.

    Args:
        folder: the output folder; its file system may take `a.PNG` and `a.png` for one name.
        suffixes: for each part of an outcome what is added to the stem for its file name.
    """

    def __init__(self, folder: Path, suffixes: Mapping[str, str]) -> None:
        self._folder, self._suffixes = folder, suffixes
        self._writing: dict[str, str] = {}
        self._lock = threading.Lock()

    def names(self, claim: Claim, parts: Collection[str]) -> dict[str, str]:
        """The file name of each part, in the order in which they are to be written.

        Raises:
            BadImage: the image's name is too long for them.
        """
        inputs = {path.name.casefold() for path in (claim.image, claim.prompt) if path is not None}
        names = {}
        for part, suffix in self._suffixes.items():
            if part in parts:
                usual = f"{claim.stem}{suffix}"
                taken = usual.casefold() in inputs  # a PNG image's mask
                names[part] = f"{claim.stem}-{part}{suffix}" if taken else usual
        if any(len(os.fsencode(name)) > _LONGEST_NAME for name in names.values()):
            raise BadImage(f"{claim.stem}: the name is too long for files named after it; shorten it")
        return names

    @contextlib.contextmanager
    def reserved(self, image: str, names: Collection[str]) -> Iterator[None]:
        """Keeps names, those of an image's results and its own if it is to be moved, while they are written.

        Files of an earlier run of the same image may be there, they are replaced.

        Raises:
            BadImage: files of another image have these names.
        """
        mine = set(names)
        with self._lock:
            writing = (self._writing[name] for name in sorted(mine & self._writing.keys()))
            other = next(writing, None) or self._other(image, names)
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

    def _other(self, image: str, names: Collection[str]) -> str | None:
        """Another image whose files would be replaced."""
        sources = {name: source_of(self._folder / name) for name in names if self._has(name)}
        owners = {source for source in sources.values() if source}
        again = self._has(image)
        # What has no note is an image. Or an earlier version made it of this image, which is there or was deleted.
        new = image in names and not again
        owners |= {name for name, source in sources.items() if source == "" and (new or self._is_image(name))}
        if sources and not again and image not in owners:
            # JSON and CSV do not say whose they are, but that image lies beside them.
            beside = image_names(os.path.splitext(image)[0]) - set(names)
            owners |= {name for name in beside if self._has(name) and source_of(self._folder / name) == ""}
        return next((owner for owner in sorted(owners) if not self._same(owner, image)), None)

    def _is_image(self, name: str) -> bool:
        """Whether a file that is called like a result is an image: then its own results had to take other names."""
        stem = os.path.splitext(name)[0]
        others = (f"{stem}-{part}{suffix}" for part, suffix in self._suffixes.items())
        return any(self._has(other) and source_of(self._folder / other) in (name, "") for other in others)

    def _same(self, one: str, other: str) -> bool:
        """Whether two names are those of one image, as they can be on file systems that ignore the case of letters."""
        with contextlib.suppress(OSError):
            return one == other or (self._folder / one).samefile(self._folder / other)
        return False

    def _has(self, name: str) -> bool:
        return os.path.lexists(self._folder / name)
