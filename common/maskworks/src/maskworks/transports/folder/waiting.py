"""Files that wait for their other half, and prompts beside their images under a name that is not looked for."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path

from maskworks.transports.folder.others import PROMPTS, listed
from maskworks.transports.folder.scan import Scan, same_form, stem_and_suffix

log = logging.getLogger(__name__)

_MAY_BE_PROMPTS = (*PROMPTS, ".json")
_TEXT = ".txt"  # what editors put behind the name of a file


class Waiting:
    """What the looks at a folder find without a partner.

    Args:
        folder: the input folder.
        prompt_suffix: the extension of prompt files; None for models that need no prompt.
        patience: seconds after which an image that waits is named.

    Attributes:
        names: images without prompt and prompts without image, of the last look.
    """

    def __init__(self, folder: Path, prompt_suffix: str | None, patience: float) -> None:
        self._folder, self._suffix, self._patience = folder, prompt_suffix, patience
        self._since: dict[str, float] = {}
        self._named: set[str] = set()
        self._mistaken: dict[str, str] = {}
        self.names: tuple[str, ...] = ()

    def found(self, scan: Scan, *, tell: bool) -> None:
        """Another look; with `tell` each image that waits for long is named in the log, once."""
        self.names = scan.lone_images + scan.lone_prompts
        self._mistaken = dict(self._prompts_under_other_names(scan))
        if tell:
            self._tell(scan)

    @property
    def mistaken(self) -> str:
        """A line about the prompts that lie beside their images under other names; "" if there are none."""
        return "" if not self._mistaken else self._line(self._mistaken)

    def _tell(self, scan: Scan) -> None:
        now = time.monotonic()
        self._since = {name: self._since.get(name, now) for name in scan.lone_images}
        self._named &= self._since.keys()
        late = [
            name for name, since in self._since.items() if now - since >= self._patience and name not in self._named
        ]
        self._named.update(late)
        mistaken = {name: self._mistaken[name] for name in late if name in self._mistaken}
        if mistaken:
            log.warning("%s", self._line(mistaken))
        if without := [name for name in late if name not in mistaken]:
            log.info("waiting in %s for their prompts (%s): %s", self._folder, self._suffix, listed(without))

    def _prompts_under_other_names(self, scan: Scan) -> Iterator[tuple[str, str]]:
        """Images without prompt, each with the file that may be its prompt."""
        if self._suffix is None or not scan.lone_images:
            return
        candidates = {}
        for name in sorted((*scan.others, *scan.lone_prompts), reverse=True):
            stem, suffix = stem_and_suffix(name)
            if suffix == _TEXT:
                stem, suffix = stem_and_suffix(stem)
            if suffix in _MAY_BE_PROMPTS or suffix == self._suffix:
                candidates[_alike(stem)] = name
        for image in scan.lone_images:
            found = candidates.get(_alike(stem_and_suffix(image)[0])) or candidates.get(_alike(image))
            if found is not None:
                yield image, found

    def _line(self, mistaken: dict[str, str]) -> str:
        (image, prompt), more = next(iter(mistaken.items())), len(mistaken) - 1
        wanted = f"{stem_and_suffix(image)[0]}{self._suffix}"
        others = f"; so with {more} more" if more else ""
        return (
            f"left in {self._folder}, a prompt under a name that is not read: the prompt for {image} is to be called "
            f"{wanted}, and {prompt} lies there; rename it{others}"
        )


def _alike(name: str) -> str:
    """The same for names that a person may take for one."""
    return same_form(name).casefold()
