"""Claims: the files of a shared input folder that one worker has taken.

A worker has a folder `.claims/<worker>/` and holds a lock on the file `.claims/<worker>.lock` for as long as it lives;
the kernel lets go of the lock when the process ends, however it ends. A claim is a numbered folder in the worker's,
with an image and its prompt. The image is renamed into it first: only one worker can succeed in that. It also leaves
first, so a claim that holds a prompt alone is finished but for the prompt. For as long as a claim exists its name is
locked: files of the same name that come in the meantime wait until it is done.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import socket
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from maskworks.atomic_write import replacing
from maskworks.transports.folder.name_lock import NameLock
from maskworks.transports.folder.scan import IMAGE_SUFFIXES, Pair, Version, same_form, stem_and_suffix

FOLDER = ".claims"
_LOCK = ".lock"
_SYSTEM_FILES = {"thumbs.db", "desktop.ini"}  # which Windows puts into every folder; those of others are hidden


@dataclass(frozen=True, slots=True)
class Claim:
    """Files that belong to this worker until it is done with them. Either of the two may be None.

    `seen` has the versions of those that are there, as they were found complete, if these are known.
    """

    folder: Path
    stem: str
    image: Path | None
    prompt: Path | None
    lock: NameLock
    seen: tuple[Version, ...] = ()

    def release(self) -> None:
        """Removes the claim's folder once its files have left it, with the system files in it.

        If anything else is there, it stays.
        """
        self.lock.release()
        with contextlib.suppress(OSError):
            for name in os.listdir(self.folder):
                if _is_of_system(name):
                    (self.folder / name).unlink()
            self.folder.rmdir()


class Claims:
    """The claims of one worker.

    Args:
        inputs: the folder that is shared.
        prompt_suffix: the extension of prompt files, None for models that need no prompt.
    """

    def __init__(self, inputs: Path, prompt_suffix: str | None) -> None:
        self._inputs, self._prompt_suffix = inputs, prompt_suffix
        self._root = inputs / FOLDER
        self.worker = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        self._count = 0
        self._lock: int | None = None
        self.incomplete = False

    @property
    def _own(self) -> Path:
        return self._root / self.worker

    def take(self, pair: Pair) -> Claim | None:
        """Claims a pair; None if another worker was faster, works on this name, or a file is gone or no file any more.

        Raises:
            OSError: the input folder cannot be written, or is gone.
        """
        self._settle_in()
        if not os.path.lexists(self._inputs / pair.image):  # a short way out: others may have done most of a long list
            return None
        lock = NameLock.take(self._root, pair.stem)
        if lock is None:
            return None
        folder = self._new_folder()
        prompt = folder / pair.prompt if pair.prompt else None
        claim = Claim(folder, pair.stem, folder / pair.image, prompt, lock, pair.seen)
        try:
            for path in (claim.image, claim.prompt):
                if path is not None:
                    (self._inputs / path.name).rename(path)
                    if not _is_file_or_link(path):  # it has taken the place of one since the look
                        self.put_back(claim)
                        return None
                    self._keep_leading(path)
        except OSError as error:
            self.put_back(claim)
            if isinstance(error, FileNotFoundError):
                return None
            raise
        return claim

    def shared(self) -> bool:
        """Whether other workers hold claims in this folder, or did and are gone.

        Raises:
            OSError: the input folder cannot be written, or is gone.
        """
        self._settle_in()
        return sum(name.endswith(_LOCK) for name in os.listdir(self._root)) > 1

    def put_back(self, claim: Claim) -> bool:
        """Returns the files of a claim to the input folder.

        Nothing is overwritten: where files of these names have arrived in the meantime, the claim stays, returns False,
        and is inherited by the next worker.

        Raises:
            OSError: the input folder cannot be written.
        """
        paths = [path for path in (claim.prompt, claim.image) if path is not None and os.path.lexists(path)]
        try:
            if any(os.path.lexists(self._inputs / path.name) for path in paths):
                return False
            for path in paths:
                path.rename(self._inputs / path.name)
        finally:
            claim.lock.release()
        claim.release()
        return True

    def inherit(self) -> Iterator[tuple[Claim, str]]:
        """Takes over the claims of dead workers; yields each with its worker's name.

        Afterwards `incomplete` is true if there are more, under names that are locked.
        """
        self.incomplete = False
        try:
            names = [name for name in os.listdir(self._root) if name.endswith(_LOCK)]
        except FileNotFoundError:
            return
        for name in names:
            worker = name.removesuffix(_LOCK)
            if worker != self.worker:
                yield from self._inherit_from(worker)

    def close(self) -> None:
        """Leaves no trace, as far as nothing is claimed any more."""
        if self._lock is None:
            return
        with contextlib.suppress(OSError):
            self._own.rmdir()
            self._root.joinpath(f"{self.worker}{_LOCK}").unlink()
            self._root.rmdir()
        self._unlock()

    def _inherit_from(self, worker: str) -> Iterator[tuple[Claim, str]]:
        lock_path = self._root / f"{worker}{_LOCK}"
        try:
            lock = os.open(lock_path, os.O_RDWR)
        except FileNotFoundError:
            return
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            theirs, all_known = self._root / worker, True
            for folder in sorted(path for path in theirs.glob("*") if path.is_dir()):
                names = _names_in(folder)
                known = all(stem_and_suffix(name)[1] in IMAGE_SUFFIXES | {self._prompt_suffix} for name in names)
                all_known = all_known and known
                if not names or not known:  # with the prompt of another model, whose workers take it over
                    continue
                self._settle_in()
                name_lock = NameLock.take(self._root, _stem(names))
                if name_lock is None:
                    self.incomplete = True
                    return
                mine = self._new_folder()
                folder.replace(mine)
                yield self._found_in(mine, name_lock), worker
            if all_known:
                shutil.rmtree(theirs, ignore_errors=True)
                lock_path.unlink(missing_ok=True)
        except BlockingIOError:  # alive
            return
        finally:
            os.close(lock)

    def _found_in(self, folder: Path, lock: NameLock) -> Claim:
        """The claim in an inherited folder; a prompt that its worker had not fetched yet is fetched."""
        names = _names_in(folder)
        prompts = [name for name in names if stem_and_suffix(name)[1] == self._prompt_suffix]
        images = [name for name in names if name not in prompts]
        stem = _stem(names)
        if images and not prompts and self._prompt_suffix is not None:
            found = [name for name in os.listdir(self._inputs) if stem_and_suffix(name)[1] == self._prompt_suffix]
            same = [name for name in found if same_form(stem_and_suffix(name)[0]) == same_form(stem)]
            prompts = sorted(same, key=lambda name: stem_and_suffix(name)[0] != stem)  # the one of this very name first
            if prompts:
                (self._inputs / prompts[0]).rename(folder / prompts[0])
        for name in (*images, *prompts):
            self._keep_leading(folder / name)
        image, prompt = (folder / found[0] if found else None for found in (images, prompts))
        return Claim(folder, stem, image, prompt, lock)

    def _keep_leading(self, path: Path) -> None:
        """Makes a relative link that has come from the input folder lead from anywhere to where it led from there."""
        if path.is_symlink() and not path.readlink().is_absolute():
            with replacing(path, path.with_name(".link"), durable="no") as draft:
                draft.symlink_to(Path(os.path.realpath(self._inputs), path.readlink()))

    def _new_folder(self) -> Path:
        self._count += 1
        folder = self._own / f"{self._count:06d}"
        folder.mkdir()
        return folder

    def _settle_in(self) -> None:
        """Makes this worker's folder and lock, again if the input folder was cleared.

        The lock file gets its name when it is locked already, so that no other worker takes this one for dead.
        """
        if self._lock is not None and self._own.is_dir():
            return
        if not self._inputs.is_dir():
            raise FileNotFoundError(f"{self._inputs} is gone")
        self._unlock()
        starting = self._root / f"{self.worker}.starting"
        while self._lock is None:
            self._root.mkdir(exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # another worker left and took the folder away
                self._lock = os.open(starting, os.O_RDWR | os.O_CREAT, 0o666)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        starting.rename(self._root / f"{self.worker}{_LOCK}")
        self._own.mkdir(exist_ok=True)

    def _unlock(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            with contextlib.suppress(OSError):  # the number is free even then, and must not be closed again
                os.close(lock)


def _is_file_or_link(path: Path) -> bool:
    mode = path.lstat().st_mode
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)


def _names_in(folder: Path) -> list[str]:
    """The image and the prompt in a claim's folder."""
    return [name for name in os.listdir(folder) if not _is_of_system(name)]


def _is_of_system(name: str) -> bool:
    """True for files that systems put into every folder, as .DS_Store."""
    return name.startswith(".") or name.casefold() in _SYSTEM_FILES


def _stem(names: Sequence[str]) -> str:
    """The name of a claim, of those of its files: that of its image, if it is there."""
    parts = [stem_and_suffix(name) for name in names]
    return min((suffix not in IMAGE_SUFFIXES, stem) for stem, suffix in parts)[1]
