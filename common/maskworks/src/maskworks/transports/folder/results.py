"""The files that a result becomes in the output folder, and to which image the ones that are there belong.

A second run of an image replaces the files of its first run, and never those of another image. A name alone does not
say whose a file is: `a.png` may be the mask of `a.jpg`, or an image itself. So masks and overlays carry their owner,
the name of their image, in the PNG file (`wire.png_source`). Other places for it were weighed:

* the JSON file: not every run writes one, and an image `a.png` has none that would tell it from a mask;
* an index in the output folder: one more file among the user's, a lock between workers, and entries that are wrong as
  soon as somebody moves a file away.

A note in the file needs none of that: it is written with the file, moves with it, and goes with it. What has no note is
judged by what lies beside it, see `_other`. Between processes only files that are written count: two that write to the
same names in the same moment are kept apart by the locks of the input folder (`claims`), if they share one.
"""

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
        self._writing: dict[str, str] = {}  # the image that each name is reserved for
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
        """Another image that owns files of these names, None if `image` may replace them all.

        A file of one of the names is a mask or an overlay with a note, an image file without one (an image, or the mask
        of a version that wrote no notes), or no image file at all (JSON, CSV).
        """
        notes = {name: source_of(self._folder / name) for name in names if self._has(name)}
        done_before = self._has(image)  # an earlier run moved it here
        comes_now = image in names and not done_before  # this run will move it here for the first time

        # 1. A note names the owner.
        owners = {note for note in notes.values() if note}

        # 2. An image file without a note is an image, which owns itself, if `image` comes for the first time, or if it
        #    has results of its own. Else it is an old mask of `image`, which lies beside it or was deleted.
        without = [name for name, note in notes.items() if note == ""]
        owners |= {name for name in without if comes_now or self._is_image(name)}

        # 3. JSON and CSV do not say whose they are. They belong to an image of the same stem that lies beside them, if
        #    nothing so far shows that they belong to this one.
        if notes and not done_before and image not in owners:
            beside = image_names(os.path.splitext(image)[0]) - set(names)
            owners |= {name for name in beside if self._has(name) and source_of(self._folder / name) == ""}
        return next((owner for owner in sorted(owners) if not self._same(owner, image)), None)

    def _is_image(self, name: str) -> bool:
        """Whether an image file without a note has results of its own, as the image `a.png` has `a-mask.png`."""
        stem = os.path.splitext(name)[0]
        others = (f"{stem}-{part}{suffix}" for part, suffix in self._suffixes.items())
        return any(self._has(other) and source_of(self._folder / other) in (name, "") for other in others)

    def _same(self, one: str, other: str) -> bool:
        """Whether two names are those of one image, as they can be on file systems that ignore the case of letters."""
        with contextlib.suppress(OSError):
            return one == other or (self._folder / one).samefile(self._folder / other)
        return False

    def _has(self, name: str) -> bool:
        # A link that leads nowhere counts: its target may come back.
        return os.path.lexists(self._folder / name)
