"""Image files are decoded in processes that can be ended, with limits on time and memory that hold for any file.

What a file makes a decoder do follows neither from its size nor from that of its image. So a decode may take
`--decode_timeout` seconds of processor time, and memory as `--max_pixels` allows for. One that takes long gets a low
priority and one of the slow places. While these are taken it is ended, and begins anew once another slow one is done.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from maskworks.config import InputConfig
from maskworks.errors import ImageTooLarge, Overloaded, RequestError
from maskworks.images.decoder_process import DecoderDied, DecoderProcess
from maskworks.images.limits import check_size
from maskworks.images.places import Places
from maskworks.images.reader import InProcessDecoder
from maskworks.types import Bytes, ImageDecoder

log = logging.getLogger(__name__)

FAST_PLACES = SLOW_PLACES = 4
_MOST_LATE = 4  # images of slow decodes that are in use at a time; the others stay in their processes
_PATIENCE = 0.4  # seconds of processor time after which a decode counts as slow
_LONGEST_PATIENCE = 1.0  # and seconds after which it does where it does not get that time
_TICK = 0.1
_STOP_SECONDS = 2.0  # for what is being decoded when the worker is told to stop
_WALL_FACTOR = 10  # so many times its processor time may a decode take that waits for a busy machine


@contextmanager
def new_decoder(limits: InputConfig, stop: threading.Event) -> Iterator[ImageDecoder]:
    """A pool; on systems other than Linux, which lack what it is made of, a decoder in this process."""
    if hasattr(os, "memfd_create"):
        with DecoderPool(limits, stop) as pool:
            yield pool
    else:
        log.warning("images are decoded without --decode_timeout and a limit on memory: these need Linux")
        yield InProcessDecoder(limits)


class DecoderPool:
    """Decodes in processes of its own. Any number of threads may ask.

    Args:
        limits: on files, images and decodes.
        stop: once set, a decode is ended after a few seconds more, so that the worker ends in time.

    Attributes:
        limits: on files, images and decodes.
        ended: how many decodes were ended because they took too long.
    """

    def __init__(self, limits: InputConfig, stop: threading.Event) -> None:
        self.limits = limits
        self.ended = 0
        self._fast_places, self._slow_places = Places(FAST_PLACES), Places(SLOW_PLACES)
        self._late_images = threading.Semaphore(_MOST_LATE)
        self._stop = stop
        self._lock = threading.Lock()
        # More are started when they are needed.
        self._idle = [self._new_process() for _ in range(FAST_PLACES // 2)]

    def watched(self, unwanted: Callable[[], RequestError | None]) -> ImageDecoder:
        """This pool for one request; its decode ends with the error that says why the answer is not wanted."""
        return _Watched(self, unwanted)

    def decode(
        self,
        data: bytes | bytearray,
        requester: str | None = None,
        unwanted: Callable[[], RequestError | None] = lambda: None,
    ) -> tuple[Bytes, dict[str, Any]]:
        """The image of a file, (H, W, 3) uint8 RGB, and facts about it.

        Args:
            data: the file.
            requester: who asks; each gets its share of the places.
            unwanted: says why the answer is not wanted any more.

        Raises:
            ImageTooLarge: beyond a limit; also if its decode took too long and was ended.
            BadImage, OutOfMemory: as `decode_image` raises them.
            Overloaded: the worker is stopping, and has waited long enough for this decode.
            RequestError: it takes long, and `unwanted` gives this error.
        """
        wanted = _Wanted(self._stop, requester, unwanted)
        try:
            return self._decode(data, wanted)
        except DecoderDied as death:
            log.warning("%s; trying once more", death)
        try:
            return self._decode(data, wanted, fresh=True)
        except DecoderDied as death:
            raise death.error from None

    def _decode(self, data: bytes | bytearray, wanted: _Wanted, *, fresh: bool = False) -> tuple[Bytes, dict[str, Any]]:
        check_size(len(data), self.limits)
        with ExitStack() as fast:
            fast.enter_context(self._fast_places.place(wanted.requester, wanted.check))
            with self._process(fresh=fresh) as process:
                process.send(data)
                if self._is_fast(process):
                    return _received(process)
                if self._slow_places.take(wanted.requester):
                    fast.close()  # the place is for others from here on
                    try:
                        return self._receive_late(process, wanted)
                    finally:
                        self._slow_places.leave(wanted.requester)
        with self._slow_places.place(wanted.requester, wanted.check), self._process(fresh=fresh) as process:
            process.send(data)
            return self._receive_late(process, wanted)

    def close(self) -> None:
        """Ends all processes."""
        with self._lock:
            while self._idle:
                self._idle.pop().end()

    def __enter__(self) -> DecoderPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _is_fast(self, process: DecoderProcess) -> bool:
        """Waits while this may be a fast decode; whether it is one. On a busy machine that may take a while."""
        most, deadline = min(_PATIENCE, self.limits.decode_timeout), time.monotonic() + _LONGEST_PATIENCE
        while not process.ready(_TICK):
            if process.cpu_seconds > most or time.monotonic() > deadline:
                return False
        return True

    def _receive_late(self, process: DecoderProcess, wanted: _Wanted) -> tuple[Bytes, dict[str, Any]]:
        """The image of a decode that takes long."""
        process.lower()
        most = self.limits.decode_timeout
        deadline = time.monotonic() + _WALL_FACTOR * most
        while not process.ready(_TICK):
            wanted.check()
            if process.cpu_seconds > most or time.monotonic() > deadline:
                with self._lock:
                    self.ended += 1
                raise ImageTooLarge(
                    f"image: decoding it takes more than {most:g} s of processor time (--decode_timeout); "
                    "save it in a simpler way, e.g. as a baseline JPEG"
                )
        return self._bounded(process, wanted)

    def _bounded(self, process: DecoderProcess, wanted: _Wanted) -> tuple[Bytes, dict[str, Any]]:
        """The image once few enough of its kind are in use: of slow decodes any number may be under way."""
        while not self._late_images.acquire(timeout=_TICK):
            wanted.check()
        try:
            image, facts = _received(process)
        except BaseException:
            self._late_images.release()
            raise
        weakref.finalize(image, self._late_images.release)
        return image, facts

    @contextmanager
    def _process(self, *, fresh: bool = False) -> Iterator[DecoderProcess]:
        process = (None if fresh else self._idle_process()) or self._new_process()
        try:
            yield process
        finally:
            with self._lock:
                kept = process.reusable and len(self._idle) < FAST_PLACES
                if kept:
                    self._idle.append(process)
            if not kept:
                process.end()

    def _idle_process(self) -> DecoderProcess | None:
        """One that waits for work and has not been ended by somebody else meanwhile."""
        while True:
            with self._lock:
                process = self._idle.pop() if self._idle else None
            if process is None or process.alive:
                return process
            process.end()

    def _new_process(self) -> DecoderProcess:
        return DecoderProcess(self.limits)


class _Wanted:
    """Who wants a decode, and whether it is still wanted."""

    def __init__(
        self, stop: threading.Event, requester: str | None, unwanted: Callable[[], RequestError | None]
    ) -> None:
        self._stop, self.requester, self._unwanted = stop, requester, unwanted
        self._stop_seen: float | None = None

    def check(self) -> None:
        """Raises Overloaded a few seconds after the worker was told to stop, or why the answer is not wanted."""
        if (error := self._unwanted()) is not None:
            raise error
        if not self._stop.is_set():
            return
        now = time.monotonic()
        self._stop_seen = self._stop_seen or now
        if now - self._stop_seen > _STOP_SECONDS:
            raise Overloaded("the worker is stopping; send this request again in a moment")


def _received(process: DecoderProcess) -> tuple[Bytes, dict[str, Any]]:
    image, facts = process.receive()
    if "damaged" in facts:
        log.warning("an image is damaged, parts of it may be wrong: %s (meta.image.damaged)", facts["damaged"])
    return image, facts


class _Watched:
    """A pool for one request."""

    def __init__(self, pool: DecoderPool, unwanted: Callable[[], RequestError | None]) -> None:
        self._pool, self._unwanted = pool, unwanted
        self.limits = pool.limits

    @property
    def ended(self) -> int:
        return self._pool.ended

    def decode(self, data: bytes | bytearray, requester: str | None = None) -> tuple[Bytes, dict[str, Any]]:
        return self._pool.decode(data, requester, self._unwanted)

    def watched(self, unwanted: Callable[[], RequestError | None]) -> ImageDecoder:
        return self._pool.watched(unwanted)
