"""Input and output folders, and real worker processes on them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from maskworks.commands.poll import predict_poll
from tests.support.bright import MODEL
from tests.support.commands import run_here
from tests.support.samples import PROMPT, encoded

WORKER = Path(__file__).with_name("bright.py")


@dataclass
class Folders:
    """A fresh input and output folder, and how to fill, run and read them."""

    root: Path

    @property
    def inputs(self) -> Path:
        return self.root / "in"

    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def failed(self) -> Path:
        return self.out / "failed"

    def add(self, name: str, image: bytes | None = None, prompt: bytes | None = PROMPT) -> None:
        """Puts an image and its prompt into the input folder; a `prompt` of None leaves it out."""
        (self.inputs / name).write_bytes(encoded() if image is None else image)
        if prompt is not None:
            (self.inputs / f"{name.rpartition('.')[0]}.points").write_bytes(prompt)

    def command(self, *flags: str) -> list[str]:
        """The command line of a worker on these folders, in which files of all formats are whole when they come."""
        return [
            sys.executable, str(WORKER), "--prediction_in", str(self.inputs), "--prediction_out", str(self.out),
            "--settle_wait", "0", *flags,
        ]  # fmt: skip

    def start(self, *flags: str, seconds: float = 0.0) -> subprocess.Popen[str]:
        """Starts a worker that needs `seconds` for an image."""
        return subprocess.Popen(
            self.command(*flags),
            env={**os.environ, "BRIGHT_SECONDS": str(seconds)},
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )

    def run(self, *flags: str, seconds: float = 0.0, timeout: float = 60) -> tuple[int, str]:
        """Runs a worker to its end: exit code and what it said."""
        worker = self.start(*flags, seconds=seconds)
        _, said = worker.communicate(timeout=timeout)
        return worker.returncode, said

    def run_here(self, *flags: str) -> tuple[int, str]:
        """The same in this process, where it need not be loaded anew."""
        return run_here(partial(predict_poll, MODEL), *self.command(*flags)[2:])

    def names(self, folder: Path | None = None) -> set[str]:
        """Names of the files in a folder, by default the output folder; everything hidden included."""
        folder = folder or self.out
        return {path.name for path in folder.iterdir() if not path.is_dir()} if folder.is_dir() else set()

    def error(self, name: str) -> dict[str, str]:
        """The code and message in an error file."""
        return json.loads((self.failed / f"{name}.error.json").read_bytes())["error"]


def wait_until(condition: Callable[[], object], timeout: float = 20.0) -> None:
    """Waits for something that other processes do."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def wait_for_line(worker: subprocess.Popen[str], words: str) -> str:
    """Reads what a worker says up to the line with these words; all of it. The worker has to say them."""
    assert worker.stderr is not None
    said = ""
    for line in worker.stderr:
        said += line
        if words in line:
            return said
    raise AssertionError(f"the worker ended without saying {words!r}: {said}")


def catches(worker: subprocess.Popen[str], number: signal.Signals) -> bool:
    """Whether a process has a handler for this signal now."""
    status = Path(f"/proc/{worker.pid}/status").read_text()
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (number - 1) & 1)
