"""A process that decodes image files and can be ended; see `maskworks.images.decoder_program` for its end."""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from typing import IO, Any

import numpy as np
import orjson

from maskworks.config import InputConfig
from maskworks.errors import BadImage, ImageTooLarge, Internal, OutOfMemory, RequestError
from maskworks.types import Bytes

log = logging.getLogger(__name__)

_START_SECONDS = 60.0
_SEND_SECONDS = 30.0  # in which a process has to take a file: one that waits for a file does so at once
_SLOW_NICENESS = 15
_KEPT_BYTES = 64 * 1024 * 1024  # of the memory that pixels are handed over in; the rest is given back after each image
_PIPE_BYTES = 1024 * 1024  # so that most files go over in one piece; more takes a privilege
# What Pillow and our reader take for a pixel at most, and for all else: tables, streams, libraries.
_BYTES_A_PIXEL, _OTHER_BYTES = 16, 256 * 1024 * 1024
_ERRORS = {error.code: error for error in (BadImage, ImageTooLarge, OutOfMemory)}
# One thread each, and 64 MiB of what Pillow has freed are kept for the next image.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PILLOW_BLOCKS_MAX": "4"}


class DecoderDied(Exception):
    """The process has ended, or hangs. It may be the file's fault, and it may be somebody else's.

    Attributes:
        error: what to answer if it happens again.
    """

    def __init__(self, error: RequestError) -> None:
        super().__init__(error.message)
        self.error = error


class DecoderProcess:
    """One decoder. It takes one file at a time: `send`, then `ready` until that is true, then `receive`.

    Args:
        limits: on files and images; the memory that it may take follows from them.

    Raises:
        Internal: no process can be started.
    """

    def __init__(self, limits: InputConfig) -> None:
        self._limits = limits
        # The process ends when nobody holds this end any more. It needs a pipe of its own, as the kernel tells one
        # process of each.
        lifeline, self._lifeline = os.pipe()
        self._pixels = os.memfd_create("pixels", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        # Were it cut off, reading it would end the process that reads.
        fcntl.fcntl(self._pixels, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        self._mapped: mmap.mmap | None = None
        memory = 2 * limits.max_bytes + _BYTES_A_PIXEL * limits.max_pixels + _OTHER_BYTES
        flags = {"pixels": self._pixels, "lifeline": lifeline, "memory": memory}
        command = [sys.executable, "-P", "-m", "maskworks.images.decoder_program"]
        try:
            self._process = subprocess.Popen(
                [*command, *(f"--{name}={value}" for name, value in flags.items())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(self._pixels, lifeline),
                env={**os.environ, **_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                # Ctrl-C does not come to another group. A session of its own would get as much of the processor as its
                # parent's whole session on kernels with autogroups, however low its priority is.
                process_group=0,
                bufsize=0,
            )
        except OSError as error:
            os.close(self._pixels)
            os.close(self._lifeline)
            raise Internal(f"a decoder process cannot be started: {error.strerror}") from None
        finally:
            os.close(lifeline)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout
        os.set_blocking(self._requests.fileno(), False)
        with suppress(OSError):
            fcntl.fcntl(self._requests, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._started = self._lowered = False
        self._cpu_before = 0.0
        self._cpu_clock = (~self._process.pid << 3) | 2  # as clock_getcpuclockid(3) has it
        self._answer = b""

    def send(self, data: bytes | bytearray) -> None:
        """Gives it a file to decode.

        Raises:
            DecoderDied: the process has ended, or takes nothing.
        """
        self._wait_for_start()
        self._cpu_before = self._cpu()
        self._answer = b""
        request = orjson.dumps([len(data), asdict(self._limits)]) + b"\n"
        try:
            for part in (request, data):
                _write_all(self._requests, part, time.monotonic() + _SEND_SECONDS)
        except (BrokenPipeError, TimeoutError):
            raise DecoderDied(Internal("a decoder process ended by itself, or hangs; send this again")) from None

    def ready(self, seconds: float) -> bool:
        """Waits for the answer, or for the end of the process, at most for so many seconds; true once it is there."""
        deadline = time.monotonic() + seconds
        while not self._answer.endswith(b"\n"):
            piece = self._read(max(0.0, deadline - time.monotonic()))
            if piece is None:
                return False
            if not piece:
                return True
            self._answer += piece
        return True

    def receive(self) -> tuple[Bytes, dict[str, Any]]:
        """The image, (H, W, 3) uint8 RGB, and facts about it.

        Raises:
            RequestError: the process says what is wrong with the file.
            DecoderDied: it has ended.
        """
        if not self._answer.endswith(b"\n"):
            raise DecoderDied(self._death())
        refusal, answer = orjson.loads(self._answer)
        if refusal:
            raise _ERRORS.get(refusal, Internal)(answer)
        (height, width, channels), facts = answer
        return self._image((height, width, channels)), facts

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def reusable(self) -> bool:
        """Whether it has answered, and would take the next file as it took the last."""
        return self._answer.endswith(b"\n") and not self._lowered

    @property
    def cpu_seconds(self) -> float:
        """The processor time that the current file has taken."""
        return self._cpu() - self._cpu_before

    def lower(self) -> None:
        """Lets it run after everything else. That cannot be taken back."""
        self._lowered = True
        now = os.getpriority(os.PRIO_PROCESS, self._process.pid)  # of a worker that was itself started so it is higher
        os.setpriority(os.PRIO_PROCESS, self._process.pid, max(now, _SLOW_NICENESS))

    def end(self) -> None:
        """Ends it, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._requests.close()
        self._answers.close()
        self._mapped = None
        os.close(self._pixels)
        os.close(self._lifeline)

    def _wait_for_start(self) -> None:
        if not self._started and not self._read(_START_SECONDS):
            raise DecoderDied(Internal("a decoder process does not start; see the log of the worker"))
        self._started = True

    def _read(self, seconds: float) -> bytes | None:
        """What it has written, empty if it has ended; None if that is nothing within so many seconds."""
        poll = select.poll()
        poll.register(self._answers, select.POLLIN)
        return self._answers.read(65536) if poll.poll(1000 * seconds) else None

    def _cpu(self) -> float:
        return time.clock_gettime(self._cpu_clock)

    def _death(self) -> RequestError:
        code = self._process.wait()
        if code == -signal.SIGKILL:  # not by us: the kernel, which had no memory left
            return OutOfMemory("image: the machine had no memory left for decoding it; make it smaller")
        log.warning("a decoder process ended with %d because of an image", code)
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return BadImage(f"image: cannot be read: the decoder crashed on it ({name}); save it anew")

    def _image(self, shape: tuple[int, int, int]) -> Bytes:
        """A copy: the memory is for the next image."""
        size = shape[0] * shape[1] * shape[2]
        if self._mapped is None or len(self._mapped) < size:
            self._mapped = mmap.mmap(self._pixels, 0)
        image = np.frombuffer(self._mapped, np.uint8, size).reshape(shape).copy()
        if size > _KEPT_BYTES:
            self._mapped.madvise(mmap.MADV_REMOVE, _KEPT_BYTES, len(self._mapped) - _KEPT_BYTES)
        return image


def _write_all(pipe: IO[bytes], data: bytes | bytearray, deadline: float) -> None:
    """Writes to a pipe that does not block.

    Raises:
        BrokenPipeError: nobody reads it any more.
        TimeoutError: it was not taken before the deadline, by the clock of `time.monotonic`.
    """
    poll = select.poll()
    poll.register(pipe, select.POLLOUT)
    place = 0
    with memoryview(data) as view:
        while place < len(data):
            written = pipe.write(view[place:])  # None, which typing does not know, if it is full
            place += written or 0
            if not written and not poll.poll(max(0.0, 1000 * (deadline - time.monotonic()))):
                raise TimeoutError
