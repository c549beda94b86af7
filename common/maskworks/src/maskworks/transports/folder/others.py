"""Files in an input folder that are left alone: neither images nor prompts by their names. And why."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from pathlib import Path

from maskworks.images.signatures import FORMATS, kind_of_file
from maskworks.transports.folder.scan import stem_and_suffix

log = logging.getLogger(__name__)

PROMPTS = (".points", ".prompt")
_MOST_NAMES = 10


def listed(names: Collection[str]) -> str:
    """The names as text; of many the first ten, and how many more there are."""
    first = ", ".join(list(names)[:_MOST_NAMES])
    return first if len(names) <= _MOST_NAMES else f"{first} and {len(names) - _MOST_NAMES} more"


def reasons(folder: Path, names: Iterable[str], prompt_suffix: str | None) -> list[str]:
    """A line for each reason for which files of these names are left alone, with their names."""
    by_reason: dict[str, list[str]] = {}
    for name in sorted(names):
        by_reason.setdefault(_reason(folder / name, prompt_suffix), []).append(name)
    return [f"left alone in {folder}, {reason}: {listed(files)}" for reason, files in by_reason.items()]


class Others:
    """The files that are left alone in a folder that is looked at again and again.

    Args:
        folder: the input folder.
        prompt_suffix: the extension of prompt files; None for models that need no prompt.
    """

    def __init__(self, folder: Path, prompt_suffix: str | None) -> None:
        self._folder, self._prompt_suffix = folder, prompt_suffix
        self._present: set[str] = set()
        self._named: set[str] = set()

    def found(self, names: Collection[str], *, tell: bool) -> None:
        """Another look has found these names; with `tell` each is named in the log, once.

        That is when two looks have found it: writers that rename a file when it is complete have moved it by then.
        """
        known = self._present
        self._present = set(names)
        if tell:
            new = (known & self._present) - self._named
            self._named = (self._named & self._present) | new
            for line in reasons(self._folder, new, self._prompt_suffix):
                log.info("%s", line)

    def reasons(self) -> list[str]:
        """A line for each reason for which files of the last look are left alone."""
        return reasons(self._folder, self._present, self._prompt_suffix)


def _reason(path: Path, prompt_suffix: str | None) -> str:
    suffix = stem_and_suffix(path.name)[1]
    if suffix in PROMPTS:
        return (
            f"prompts for this model end in {prompt_suffix}" if prompt_suffix else "prompts, which nothing here needs"
        )
    try:
        kind = kind_of_file(path)
    except OSError:  # gone, no file, or not to be read
        kind = ""
    if kind in FORMATS:
        return f"{kind} by their content but not by their names; rename them"
    return f"{kind}, which is not read" if kind else f"no image files by their names ({suffix or 'no extension'})"
