"""The program of a decoder process: image files in, pixels out, until its parent is gone.

`maskworks.images.decoder_process` starts it and knows the other end. A request on standard input is a line of JSON,
[size of the file, limits], and the file. The answer on standard output is a line of JSON: ["", [shape, facts]] of the
image whose pixels lie in the memory `--pixels` now, or [kind, text] of a refusal. The very first line, empty, says that
it has started.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import math
import mmap
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import orjson

from maskworks.config import InputConfig
from maskworks.errors import ImageTooLarge, Internal, OutOfMemory, RequestError
from maskworks.freed_memory import give_back_freed_memory, keep_freed_memory
from maskworks.images.reader import decode_image
from maskworks.types import Bytes

_SPARE_SECONDS = 5  # of processor time beyond the limit
NICENESS = 5  # decoders give way to the model
_FIRST_TO_END = "1000"
_TOO_MUCH_MEMORY = (
    "image: decoding it takes more memory than --max_pixels allows for; save it in a simpler way, e.g. as PNG"
)
_KEPT_BYTES = 64 * 1024 * 1024  # what an image takes as pixels for its memory to be kept for the next one


class Pixels:
    """The memory that pixels are handed over in. It only grows: its reader relies on that.

    Args:
        descriptor: of a file in memory.

    Attributes:
        used: bytes of the latest image.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._mapped: mmap.mmap | None = None
        self.used = 0

    def image(self, shape: tuple[int, int, int]) -> Bytes:
        """The memory as an image, (H, W, 3) uint8."""
        self.used = size = math.prod(shape)
        if self._mapped is None or len(self._mapped) < size:
            self._mapped = None
            if os.fstat(self._descriptor).st_size < size:
                self._grow(size)
            self._mapped = mmap.mmap(self._descriptor, 0)
        return np.frombuffer(self._mapped, np.uint8, size).reshape(shape)

    def _grow(self, size: int) -> None:
        try:
            os.ftruncate(self._descriptor, size)
        except OSError as error:  # of the image's format it would be another error
            raise Internal(f"no memory of {size} bytes for pixels: {error.strerror} (ulimit -f)") from None


def main() -> None:
    """Decodes until standard input ends."""
    parser = argparse.ArgumentParser()
    for name in ("--pixels", "--lifeline", "--memory"):
        parser.add_argument(name, type=int, required=True)
    args = parser.parse_args()
    _end_with_parent(args.lifeline)
    _limit_memory(args.memory)
    keep_freed_memory()
    os.nice(NICENESS)
    with contextlib.suppress(OSError):  # where memory is short, the kernel ends this process and not its parent
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_END)
    requests, answers = os.fdopen(0, "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
    answers.write(b"\n")
    _be_silent()
    cv2.setNumThreads(1)
    pixels = Pixels(args.pixels)
    while line := requests.readline():
        size, wishes = orjson.loads(line)
        limits = InputConfig(**wishes)
        _limit_time(limits.decode_timeout)
        answers.write(orjson.dumps(_answer(requests.read(size), limits, pixels)) + b"\n")
        if pixels.used > _KEPT_BYTES:
            give_back_freed_memory()


def _answer(file: bytes, limits: InputConfig, pixels: Pixels) -> tuple[str, Any]:
    try:
        image, facts = decode_image(file, limits, pixels.image, alone=True)
    except (OutOfMemory, MemoryError):
        give_back_freed_memory()
        return ImageTooLarge.code, _TOO_MUCH_MEMORY
    except RequestError as refusal:
        return refusal.code, refusal.message
    except Exception as fault:  # noqa: BLE001  # the worker says it, and this process goes on
        return Internal.code, f"{type(fault).__name__}: {fault}"
    return "", (image.shape, facts)


def _end_with_parent(lifeline: int) -> None:
    """Ends this process as soon as nobody holds the other end of a pipe, also in the middle of a decode.

    The kernel sends SIGIO then, which ends a process that does not handle it. That takes neither a thread, for which a
    decoder may leave no time, nor the parent's help, which may have been killed.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # a warning of a library is no reason to stop
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC | os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        if not os.read(lifeline, 1):  # it happened before
            sys.exit()


def _limit_memory(size: int) -> None:
    """Lets this process take `size` bytes more than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + size
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)  # which counts for files in memory, too
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def _limit_time(seconds: float) -> None:
    """Ends this process some time after its parent should have done so, if that hangs or is gone."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    limit = math.ceil(used.ru_utime + used.ru_stime + seconds) + _SPARE_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (limit if most == resource.RLIM_INFINITY else min(limit, most), most))


def _be_silent() -> None:
    """What image libraries print about a file is nothing for the worker's log."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)


if __name__ == "__main__":
    main()
