"""The scan of a folder: pairs of images and prompts that have arrived, complete or still growing."""

from __future__ import annotations

import os
import stat
import time
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TypeAlias

from maskworks.config import InputConfig
from maskworks.wire.completeness import End, end_of

# In lower case; anything else in the folder is no image. The formats are those of `images.signatures.FORMATS`.
IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".avif", ".heic", ".heif"}
)

Version: TypeAlias = tuple[int, int]  # size of a file in bytes, and time of its last change in nanoseconds


@dataclass(frozen=True, slots=True)
class Pair:
    """An image, and its prompt if the model needs one, by file name; `rivals` are further images of the same stem.

    `seen` has the versions of image and prompt that were found complete, if these are known.
    """

    stem: str
    image: str
    prompt: str | None
    rivals: tuple[str, ...] = ()
    seen: tuple[Version, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Scan:
    """One look at the folder.

    Attributes:
        ready: complete pairs, in order of their names.
        growing: number of pairs that are still being written.
        lone_images: images that have no prompt yet.
        lone_prompts: prompts that have no image yet.
        others: files that are neither images nor prompts by their names.
        seconds: of processor time that it took.
    """

    ready: tuple[Pair, ...]
    growing: int
    lone_images: tuple[str, ...]
    lone_prompts: tuple[str, ...]
    others: tuple[str, ...] = ()
    seconds: float = field(default=0.0, compare=False)


@dataclass(slots=True)
class _Seen:
    """What is known of a file: since when it is as it is, and since when it is the same file as well."""

    version: Version
    inode: int
    since: float
    same_since: float
    end: End | None = None


class Scanner:
    """Looks at a folder again and again.

    A file counts as complete once its end is where its format says. A format without a mark at its end leaves nothing
    but waiting: it is complete when it has not changed for `settle` seconds. Any file is taken as it is when it has not
    changed for `patience` seconds: if it is broken then, waiting will not mend it. The same holds for links that lead
    nowhere.

    Args:
        folder: where files arrive; hidden files, subfolders, pipes and devices are not looked at.
        prompt_suffix: the extension of prompt files, e.g. `.points`; None for models that need no prompt.
        patience, settle: seconds.
        limits: prompts beyond them are not read.
    """

    def __init__(
        self, folder: Path, prompt_suffix: str | None, *, patience: float, settle: float, limits: InputConfig
    ) -> None:
        self._folder, self._prompt_suffix, self._limits = folder, prompt_suffix, limits
        self._patience, self._settle = patience, settle
        self._seen: dict[str, _Seen] | None = None

    def scan(self) -> Scan:
        """The folder as it is now.

        Raises:
            OSError: the folder cannot be read or written.
        """
        began = time.thread_time()
        images, prompts, others, present = self._list()
        if self._seen is None:
            self._seen = self._by_their_time(present)
        seen = self._seen = {name: seen for name, seen in self._seen.items() if name in present}
        ready, growing = [], 0
        lone_images: list[str] = []
        paired = _paired(images, prompts)
        for stem in sorted(images):
            names, prompt = sorted(images[stem]), paired.get(stem)
            if prompt is None and self._prompt_suffix is not None:
                lone_images += names
                continue
            files = [names[0]] if prompt is None else [names[0], prompt]
            if all(self._complete(present[name], seen) for name in files):
                rivals = tuple(name for name in names[1:] if self._complete(present[name], seen))
                ready.append(Pair(stem, names[0], prompt, rivals, tuple(seen[name].version for name in files)))
            else:
                growing += 1
        lone_prompts = tuple(sorted(set(prompts.values()) - set(paired.values())))
        seconds = time.thread_time() - began
        return Scan(tuple(ready), growing, tuple(lone_images), lone_prompts, tuple(sorted(others)), seconds)

    def _list(self) -> tuple[dict[str, list[str]], dict[str, str], list[str], dict[str, os.DirEntry[str]]]:
        """Image names by stem, prompt name by stem, names of other files, and every image and prompt by name.

        Files that wait for their other half may be many, so no more is asked of them than what the folder itself tells.
        """
        images: dict[str, list[str]] = {}
        prompts: dict[str, str] = {}
        others: list[str] = []
        present: dict[str, os.DirEntry[str]] = {}
        with os.scandir(self._folder) as entries:
            for entry in entries:
                stem, suffix = stem_and_suffix(entry.name)
                if entry.name.startswith("."):
                    continue
                if suffix not in IMAGE_SUFFIXES and suffix != self._prompt_suffix:
                    others += [entry.name] * entry.is_file()
                    continue
                if not entry.is_file(follow_symlinks=False) and _state(entry) is None:
                    continue
                present[entry.name] = entry
                if suffix == self._prompt_suffix:
                    prompts[stem] = min(entry.name, prompts.get(stem, entry.name))
                else:
                    images.setdefault(stem, []).append(entry.name)
        return images, prompts, others, present

    def _by_their_time(self, present: dict[str, os.DirEntry[str]]) -> dict[str, _Seen]:
        """The files that are there at the first look, unchanged since their time by the clock that dates them.

        It may be that of a file server and differ from ours, so later looks rely on what they have seen themselves.
        """
        with NamedTemporaryFile(prefix=".", dir=self._folder) as file:
            clock, now = os.fstat(file.fileno()).st_mtime, time.monotonic()
        states = ((name, _state(entry)) for name, entry in present.items())
        return {
            name: _Seen(version(state), state.st_ino, since := now - max(0.0, clock - state.st_mtime), since)
            for name, state in states
            if state is not None
        }

    def _complete(self, entry: os.DirEntry[str], known: dict[str, _Seen]) -> bool:
        state, now = _state(entry), time.monotonic()
        if state is None:
            return False
        seen = known.get(entry.name)
        if seen is None or seen.version != version(state):
            seen = known[entry.name] = _Seen(version(state), state.st_ino, now, now)
        elif seen.inode != state.st_ino:  # some file systems give one file ever new numbers, so `since` stays
            seen.inode, seen.same_since, seen.end = state.st_ino, now, None
        if now - seen.since >= self._patience:
            return True
        if seen.end is None:
            seen.end = self._end(entry.name)
        return seen.end is End.THERE or (seen.end is End.UNMARKED and now - seen.same_since >= self._settle)

    def _end(self, name: str) -> End | None:
        try:
            is_prompt = stem_and_suffix(name)[1] == self._prompt_suffix
            return end_of(self._folder / name, self._limits, is_prompt=is_prompt)
        except OSError:  # gone, in use, or not readable yet
            return None


def same_form(name: str) -> str:
    """The same for all ways to write a name in Unicode: some systems write a letter and its accent apart (NFD)."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def _paired(images: Collection[str], prompts: Mapping[str, str]) -> dict[str, str]:
    """The prompt of each stem of images: the one of this very stem, else one of the same name in another form."""
    paired = {stem: prompts[stem] for stem in images if stem in prompts}
    left = {same_form(stem): stem for stem in sorted(prompts.keys() - paired.keys(), reverse=True)}
    for stem in sorted(images):
        if left and stem not in paired and same_form(stem) in left:
            paired[stem] = prompts[left.pop(same_form(stem))]
    return paired


def version(state: os.stat_result) -> Version:
    """What differs between two states of a file if it was changed in between."""
    return state.st_size, state.st_mtime_ns


def image_names(stem: str) -> set[str]:
    """The names that an image of this stem can have, with its extension in lower or upper case."""
    return {f"{stem}{cased}" for suffix in IMAGE_SUFFIXES for cased in (suffix, suffix.upper())}


def stem_and_suffix(name: str) -> tuple[str, str]:
    """A file's name without its last extension, and that, with its dot and in lower case."""
    stem, suffix = os.path.splitext(name)
    return stem, suffix.lower()


def _state(entry: os.DirEntry[str]) -> os.stat_result | None:
    """The state of a file, or of a link that leads nowhere; None for all else and for what is gone by now."""
    try:
        try:
            state = entry.stat()
        except OSError:  # dangling, in a circle, through a file, ...
            state = entry.stat(follow_symlinks=False)
    except FileNotFoundError:  # taken by another worker in the meantime
        return None
    return state if stat.S_ISREG(state.st_mode) or stat.S_ISLNK(state.st_mode) else None
