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
from dataclasses import asdict
from typing import Any

import numpy as np
import orjson

from maskworks.config import InputConfig
from maskworks.errors import BadImage, ImageTooLarge, Internal, OutOfMemory, RequestError
from maskworks.types import Bytes

log = logging.getLogger(__name__)

_START_SECONDS = 60.0
_SLOW_NICENESS = 15
# Of the memory that files and pixels are handed over in, so much is kept; the rest is given back after each image.
_KEPT_FILE, _KEPT_PIXELS = 8 * 1024 * 1024, 64 * 1024 * 1024
# What Pillow and our reader take for a pixel at most, and for all else: tables, streams, libraries.
_BYTES_A_PIXEL, _OTHER_BYTES = 16, 256 * 1024 * 1024
_ERRORS = {error.code: error for error in (BadImage, ImageTooLarge, OutOfMemory)}
# One thread each, and 64 MiB of what Pillow has freed are kept for the next image.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PILLOW_BLOCKS_MAX": "4"}


class DecoderProcess:
    """One decoder. It takes one file at a time: `send`, then `ready` until that is true, then `receive`.

    Args:
        limits: on files and images; the memory that it may take follows from them.
        lifeline: the reading end of a pipe; the process ends when nobody holds the other end.

    Raises:
        Internal: no process can be started.
    """

    def __init__(self, limits: InputConfig, lifeline: int) -> None:
        self._limits = limits
        self._file = os.memfd_create("file")
        self._pixels = os.memfd_create("pixels", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        # Were it cut off, reading it would end the process that reads.
        fcntl.fcntl(self._pixels, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        self._mapped: mmap.mmap | None = None
        memory = 2 * limits.max_bytes + _BYTES_A_PIXEL * limits.max_pixels + _OTHER_BYTES
        flags = {"file": self._file, "pixels": self._pixels, "lifeline": lifeline, "memory": memory}
        command = [sys.executable, "-P", "-m", "maskworks.images.decoder_program"]
        try:
            self._process = subprocess.Popen(
                [*command, *(f"--{name}={value}" for name, value in flags.items())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(self._file, self._pixels, lifeline),
                env={**os.environ, **_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                start_new_session=True,  # where Ctrl-C does not come
                bufsize=0,
            )
        except OSError as error:
            self._close_memory()
            raise Internal(f"a decoder process cannot be started: {error.strerror}") from None
        self._started = self._lowered = False
        self._cpu_before = 0.0
        self._cpu_clock = (~self._process.pid << 3) | 2  # as clock_getcpuclockid(3) has it
        self._answer = b""

    def send(self, data: bytes | bytearray) -> None:
        """Gives it a file to decode.

        Raises:
            Internal: the process has ended.
        """
        self._wait_for_start()
        self._cpu_before = self._cpu()
        _write_all(self._file, data)
        self._answer = b""
        request = {"size": len(data), "limits": asdict(self._limits)}
        try:
            assert self._process.stdin is not None
            self._process.stdin.write(orjson.dumps(request) + b"\n")
        except BrokenPipeError:
            raise Internal("a decoder process ended by itself; see the log of the worker") from None

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
            RequestError: the process says what is wrong with the file, or has ended because of it.
        """
        if os.fstat(self._file).st_size > _KEPT_FILE:
            os.ftruncate(self._file, 0)
        if not self._answer.endswith(b"\n"):
            raise self._death()
        answer = orjson.loads(self._answer)
        if "error" in answer:
            raise _ERRORS.get(answer["error"], Internal)(answer["message"])
        height, width, channels = answer["shape"]
        return self._image((height, width, channels)), answer["facts"]

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
        os.setpriority(os.PRIO_PROCESS, self._process.pid, _SLOW_NICENESS)

    def end(self) -> None:
        """Ends it, whatever it does."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        self._close_memory()

    def _close_memory(self) -> None:
        self._mapped = None
        os.close(self._file)
        os.close(self._pixels)

    def _wait_for_start(self) -> None:
        if not self._started and not self._read(_START_SECONDS):
            raise Internal("a decoder process does not start; see the log of the worker")
        self._started = True

    def _read(self, seconds: float) -> bytes | None:
        """What it has written, empty if it has ended; None if that is nothing within so many seconds."""
        assert self._process.stdout is not None
        poll = select.poll()
        poll.register(self._process.stdout, select.POLLIN)
        if not poll.poll(1000 * seconds):
            return None
        return self._process.stdout.read(65536)

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
        if size > _KEPT_PIXELS:
            self._mapped.madvise(mmap.MADV_REMOVE, _KEPT_PIXELS, len(self._mapped) - _KEPT_PIXELS)
        return image


def _write_all(descriptor: int, data: bytes | bytearray) -> None:
    written = 0
    with memoryview(data) as view:
        while written < len(data):
            written += os.pwrite(descriptor, view[written:], written)
