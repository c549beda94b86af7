"""Jobs from a folder of images and prompts, results into another folder.

Every pair ends in exactly one place: results with their inputs in the output folder, or the inputs with an error file
in the folder for failures. At any moment at which the process may die, a pair is still in the input folder (or in a
claim inside of it, see `claims`), or its results are complete.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import random
import threading
import time
from collections import deque
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from maskworks.atomic_write import move_file, write_file
from maskworks.config import FolderConfig, InputConfig
from maskworks.errors import BadImage, RequestError, TransportError, reason_of
from maskworks.formats import FileFormat
from maskworks.transports.folder.claims import FOLDER as CLAIMS_FOLDER
from maskworks.transports.folder.claims import Claim, Claims
from maskworks.transports.folder.input_file import InputFiles, NotComplete
from maskworks.transports.folder.others import Others
from maskworks.transports.folder.results import ResultFiles
from maskworks.transports.folder.scan import Pair, Scan, Scanner, image_names
from maskworks.transports.folder.waiting import Waiting
from maskworks.types import Job, Outcome
from maskworks.wire.png_source import source_of, with_source
from maskworks.wire.reply import encode_error

if TYPE_CHECKING:
    from maskworks.transports.folder.watch import Watch

log = logging.getLogger(__name__)

_REST = 50  # times as long as a look took, so that idle workers take at most a fiftieth of a processor core
_LONGEST_REST = 10.0  # seconds
_LONGEST_STEM = 235  # bytes, of a name that still leaves room for what is added to it


class FolderTransport:
    """Watches one folder, alone or together with other workers.

    Args:
        config: the folders, and how long to wait.
        input_config: files beyond its limit of bytes are not read.
        prompt_suffix: the extension of prompt files, e.g. `.points`; None for models that need no prompt.
        file_format: how jobs are read and answered. The last of its files tells readers that the rest is there.

    Attributes:
        others: the files in the folder that are no inputs.
        waiting: those that lack their other half.
        in_hand: the names of the jobs that were received and have not ended.
    """

    def __init__(
        self, config: FolderConfig, input_config: InputConfig, prompt_suffix: str | None, file_format: FileFormat
    ) -> None:
        self._config, self._inputs = config, InputFiles(input_config)
        self._prompt_suffix, self._format = prompt_suffix, file_format
        self._arrivals = Scanner(
            config.prediction_in,
            prompt_suffix,
            patience=config.incomplete_wait,
            settle=config.settle_wait,
            limits=input_config,
        )
        self._results = ResultFiles(config.prediction_out, file_format.suffixes)
        self._claims = Claims(config.prediction_in, prompt_suffix)
        self._ready: deque[Pair] = deque()
        self._own: deque[Claim] = deque()  # claimed, but not being worked on
        self._refused: deque[Job] = deque()
        self.in_hand: set[str] = set()
        self._scan: Scan | None = None
        self.others = Others(config.prediction_in, prompt_suffix)
        self.waiting = Waiting(config.prediction_in, prompt_suffix, config.incomplete_wait)
        self._next_look = self._earliest_look = self._ready_since = 0.0
        self._drafts = itertools.count()
        self._wake = threading.Event()
        for folder in filter(None, (config.prediction_out, config.prediction_failed, config.prediction_tmp)):
            folder.mkdir(parents=True, exist_ok=True)
        self._watch: Watch | None = None
        if config.use_watchdog:
            from maskworks.transports.folder.watch import Watch

            self._watch = Watch(config.prediction_in, self._wake)

    @property
    def exhausted(self) -> bool:
        if self._config.continuous or self._scan is None:
            return False
        here = self._ready or self._own or self._refused or self.in_hand
        return not (here or self._scan.ready or self._scan.growing or self._claims.incomplete)

    @property
    def backlog(self) -> int:
        return len(self._ready) + len(self._own) + len(self._refused)

    @property
    def oldest_age(self) -> float:
        return time.monotonic() - self._ready_since if self.backlog else 0.0

    def check(self) -> None:
        for folder in (self._config.prediction_in, self._config.prediction_out):
            if not folder.is_dir():
                raise TransportError(f"{folder} is gone")

    def receive(self, limit: int, timeout: float) -> Sequence[Job]:
        deadline = time.monotonic() + timeout
        try:
            while True:
                self._claim(limit)
                jobs = self._jobs(limit)
                now = time.monotonic()
                if jobs or now >= deadline or self.exhausted:
                    return jobs
                self._wake.wait(max(0.0, min(deadline, self._next_look) - now))
        except OSError as error:
            reason = reason_of(error, file=True)
            raise TransportError(f"--prediction_in {self._config.prediction_in}: {reason}") from error

    def deliver(self, job: Job, outcome: Outcome) -> None:
        claim: Claim = job.receipt
        try:
            if outcome.error is not None:
                self._fail(claim, outcome.error, outcome)
            else:
                self._succeed(claim, job, outcome)
        except OSError as error:
            raise TransportError(f"results of {job.id} cannot be written: {reason_of(error, file=True)}") from error
        self.in_hand.discard(claim.stem)
        self._wake.set()

    def give_back(self, job: Job) -> bool:
        self._own.append(job.receipt)
        self.in_hand.discard(job.receipt.stem)
        return True

    def close(self) -> None:
        if self._watch is not None:
            self._watch.close()
        for claim in self._own:
            try:
                self._claims.put_back(claim)
            except OSError as error:
                log.error("%s stays in %s: %s", claim.stem, claim.folder, reason_of(error, file=True))
        self._claims.close()

    def _claim(self, limit: int) -> None:
        """Claims up to `limit` pairs, after another look at the folder if it is time for one."""
        if self._wake.is_set():
            self._wake.clear()
            self._next_look = min(self._next_look, self._earliest_look)
        if not self._ready and not self._own and time.monotonic() >= self._next_look:
            self._look()
        while self._ready and len(self._own) < limit:
            pair = self._ready.popleft()
            claim = self._claims.take(pair)
            if claim is not None:
                self._own.append(claim)
            for rival in pair.rivals:
                self._refuse(pair, rival)

    def _jobs(self, limit: int) -> list[Job]:
        """Jobs for claims that are held but not worked on."""
        for claim in [claim for claim in self._own if self._is_half(claim)]:
            self._resume(claim)
            self._own.remove(claim)
        jobs = [self._refused.popleft() for _ in range(len(self._refused))]
        while self._own and len(jobs) < limit:
            job = self._job(self._own[0])
            self._own.popleft()
            jobs += [] if job is None else [job]
        return jobs

    def _is_half(self, claim: Claim) -> bool:
        return claim.image is None or (claim.prompt is None and self._prompt_suffix is not None)

    def _look(self) -> None:
        for claim, worker in self._claims.inherit():
            log.info("%s: taken over from %s, which is gone", claim.stem, worker)
            self._remove_leftovers(worker)
            self._own.append(claim)
        self._scan = self._arrivals.scan()
        self.others.found(self._scan.others, tell=self._config.continuous)
        self.waiting.found(self._scan, tell=self._config.continuous)
        ready = self._scan.ready
        # Workers that share the folder would all reach for the same names if all began with the first one.
        start = random.randrange(len(ready)) if ready and self._claims.shared() else 0
        self._ready.extend(ready[start:] + ready[:start])
        self._ready_since = time.monotonic()
        config = self._config
        wait = config.watchdog_check_interval if self._watch is not None else config.poll_wait
        if self._scan.growing or not config.continuous:
            wait = min(wait, config.poll_wait, 0.2)
        rest = min(_REST * self._scan.seconds, _LONGEST_REST) if config.continuous else 0.0
        self._earliest_look = time.monotonic() + rest
        self._next_look = time.monotonic() + max(wait, rest)

    def _resume(self, claim: Claim) -> None:
        """Brings an inherited claim to its end that lacks one of its two files."""
        if claim.prompt is None:  # the prompt has never come
            self._claims.put_back(claim)
        else:  # finished, but for the prompt
            failed = self._error_file(claim).exists()
            done = None if self._config.delete_input else self._config.prediction_out
            self._finish(claim, self._config.failed if failed else done)

    def _job(self, claim: Claim) -> Job | None:
        """The job of a claim; None if a file of it has changed: then it went back to wait again."""
        assert claim.image is not None
        name = claim.image.name if self._format.keep_extension else claim.stem
        try:
            data = self._inputs.read(claim)
            job = Job(name, data[0], data[1] if claim.prompt else None, format=self._format, receipt=claim)
        except NotComplete:
            self._scan = None  # there is more to come
            if self._claims.put_back(claim):
                return None
            error = BadImage(f"{name}: has changed while it was read, and newer files of its name have come")
            job = Job(name, error=error, format=self._format, receipt=claim)
        except RequestError as error:
            job = Job(name, error=error, format=self._format, receipt=claim)
        self.in_hand.add(claim.stem)
        return job

    def _refuse(self, pair: Pair, rival: str) -> None:
        """Takes a second image of the same stem out, whose results would overwrite those of the first."""
        claim = self._claims.take(Pair(rival, rival, None))
        if claim is not None:
            error = BadImage(f"{rival}: has the name of {pair.image}, only the extension differs; rename one of them")
            self._refused.append(Job(rival, error=error, format=self._format, receipt=claim))

    def _succeed(self, claim: Claim, job: Job, outcome: Outcome) -> None:
        assert claim.image is not None
        image, out = claim.image.name, self._config.prediction_out
        names = self._results.names(claim, outcome.parts)
        moved = [] if self._config.delete_input else [image]
        if moved and (source := source_of(BytesIO(job.body))):
            raise BadImage(f"{image}: is a mask or an overlay that was made of {source!a:.300}; expected an image")
        with self._results.reserved(image, [*names.values(), *moved]):
            for part, name in names.items():
                data = outcome.parts[part]
                self._write(out / name, with_source(data, image) if name.endswith(".png") else data)
            self._forget_error(claim)
            self._finish(claim, None if self._config.delete_input else out)

    def _fail(self, claim: Claim, error: RequestError, outcome: Outcome) -> None:
        self._config.failed.mkdir(exist_ok=True)  # not before something fails
        self._write(self._error_file(claim), encode_error(error, outcome.id, outcome.meta))
        self._finish(claim, self._config.failed)

    def _forget_error(self, claim: Claim) -> None:
        """Removes the error of an earlier try; that of another image of this name stays as long as the image."""
        error, failed = self._error_file(claim), self._config.failed
        if error.exists() and not any(os.path.lexists(failed / name) for name in image_names(claim.stem)):
            error.unlink(missing_ok=True)

    def _error_file(self, claim: Claim) -> Path:
        name, data = claim.stem, os.fsencode(claim.stem)
        if len(data) > _LONGEST_STEM:
            name = f"{name[:50]}-{hashlib.sha256(data).hexdigest()[:8]}"
        return self._config.failed / f"{name}.error.json"

    def _write(self, path: Path, data: bytes) -> None:
        draft, beside = self._draft(self._config.prediction_tmp or path.parent), self._draft(path.parent)
        write_file(path, data, draft, beside, durable="content")

    def _draft(self, folder: Path) -> Path:
        return folder / f".{self._claims.worker}-{next(self._drafts)}.part"

    def _finish(self, claim: Claim, target: Path | None) -> None:
        """Moves the inputs to `target`, or deletes them. The order matters, see `claims`."""
        for path in (claim.image, claim.prompt):
            if path is None:
                continue
            try:
                if target is None:
                    path.unlink()
                else:
                    move_file(path, target / path.name, self._draft(target))
            except FileNotFoundError:
                if os.path.lexists(path):  # it is there, but its target is not
                    raise
                log.warning("%s: was removed from %s while it was worked on", path.name, CLAIMS_FOLDER)
        claim.release()

    def _remove_leftovers(self, worker: str) -> None:
        config = self._config
        for folder in {config.prediction_out, config.failed, config.prediction_tmp or config.prediction_out}:
            for path in folder.glob(f".{worker}-*.part"):
                path.unlink(missing_ok=True)
