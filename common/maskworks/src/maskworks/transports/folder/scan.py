"""The scan of a folder: pairs of images and prompts that have arrived, complete or still growing."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

from maskworks.config import InputConfig
from maskworks.wire.completeness import ends_where_it_should

_Seen = tuple[tuple[int, int], float, bool]  # size and time of a file, since when, and whether it is complete

# In lower case; anything else in the folder is no image. The formats are those of `images.reader.FORMATS`.
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})


@dataclass(frozen=True, slots=True)
class Pair:
    """An image, and its prompt if the model needs one, by file name; `rivals` are further images of the same stem."""

    stem: str
    image: str
    prompt: str | None
    rivals: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scan:
    """One look at the folder.

    Attributes:
        ready: complete pairs, in order of their names.
        growing: number of pairs that are still being written.
        lone_images: images that have no prompt yet.
        lone_prompts: prompts that have no image yet.
    """

    ready: tuple[Pair, ...]
    growing: int
    lone_images: tuple[str, ...]
    lone_prompts: tuple[str, ...]


class Scanner:
    """Looks at a folder again and again.

    A file counts as complete once its end is where its format says, or once it has not changed for `patience` seconds:
    if it is broken then, waiting will not mend it. The same holds for links that lead nowhere.

    Args:
        folder: where files arrive; hidden files, subfolders, pipes and devices are not looked at.
        prompt_suffix: the extension of prompt files, e.g. `.points`; None for models that need no prompt.
        patience: seconds.
        limits: files beyond them are not read.
    """

    def __init__(
        self, folder: Path, prompt_suffix: str | None, patience: float, limits: InputConfig | None = None
    ) -> None:
        self._folder, self._prompt_suffix, self._patience = folder, prompt_suffix, patience
        self._limits = limits or InputConfig()
        self._seen: dict[str, _Seen] | None = None

    def scan(self) -> Scan:
        """The folder as it is now.

        Raises:
            OSError: the folder cannot be read or written.
        """
        images, prompts, present = self._list()
        seen = self._unchanged(present) if self._seen is None else self._seen
        self._seen = {name: seen[name] for name in present if name in seen}
        needs_prompt = self._prompt_suffix is not None
        ready, growing = [], 0
        for stem in sorted(images):
            names = sorted(images[stem])
            if needs_prompt and stem not in prompts:
                continue
            rivals = tuple(name for name in names[1:] if self._complete(name, present[name], self._seen))
            pair = Pair(stem, names[0], prompts.get(stem), rivals)
            files = [pair.image, *([pair.prompt] if pair.prompt else [])]
            if all(self._complete(name, present[name], self._seen) for name in files):
                ready.append(pair)
            else:
                growing += 1
        lone_images = tuple(n for s in sorted(images) if needs_prompt and s not in prompts for n in sorted(images[s]))
        lone_prompts = tuple(prompts[stem] for stem in sorted(prompts) if stem not in images)
        return Scan(tuple(ready), growing, lone_images, lone_prompts)

    def _list(self) -> tuple[dict[str, list[str]], dict[str, str], dict[str, os.stat_result]]:
        """Image names by stem, prompt name by stem, and the state of every file."""
        images: dict[str, list[str]] = {}
        prompts: dict[str, str] = {}
        present: dict[str, os.stat_result] = {}
        with os.scandir(self._folder) as entries:
            for entry in entries:
                stem, suffix = stem_and_suffix(entry.name)
                if entry.name.startswith(".") or suffix not in IMAGE_SUFFIXES | {self._prompt_suffix}:
                    continue
                state = _state(entry)
                if state is None:
                    continue
                present[entry.name] = state
                if suffix == self._prompt_suffix:
                    prompts[stem] = min(entry.name, prompts.get(stem, entry.name))
                else:
                    images.setdefault(stem, []).append(entry.name)
        return images, prompts, present

    def _unchanged(self, present: dict[str, os.stat_result]) -> dict[str, _Seen]:
        """The files that have not changed for long enough at the first look, by the clock that dates them.

        It may be that of a file server and differ from ours, so later looks rely on what they have seen themselves.
        """
        with NamedTemporaryFile(prefix=".", dir=self._folder) as file:
            now = os.fstat(file.fileno()).st_mtime
        old = {name: state for name, state in present.items() if now - state.st_mtime >= self._patience}
        return {name: (_version(state), 0.0, True) for name, state in old.items()}

    def _complete(self, name: str, state: os.stat_result, seen: dict[str, _Seen]) -> bool:
        now = time.monotonic()
        before, since, ended = seen.get(name, (None, now, False))
        if before != _version(state):
            since, ended = now, self._ends(name)
            seen[name] = (_version(state), since, ended)
        return ended or now - since >= self._patience

    def _ends(self, name: str) -> bool:
        try:
            return ends_where_it_should(
                self._folder / name, self._limits, is_prompt=stem_and_suffix(name)[1] == self._prompt_suffix
            )
        except OSError:  # gone, or not readable yet
            return False


def _version(state: os.stat_result) -> tuple[int, int]:
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
