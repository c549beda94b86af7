"""Decoding in processes: the same pixels and errors, and bounds that hold for any file."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskworks.config import InputConfig
from maskworks.errors import BadImage, ImageTooLarge, Overloaded, RequestError, TimedOut
from maskworks.images import decoder_process
from maskworks.images.decoder_pool import FAST_PLACES, SLOW_PLACES, DecoderPool
from maskworks.images.reader import decode_image
from tests.support.bombs import (
    large_avif,
    progressive_jpeg,
    tiff_that_unpacks,
    tiff_with_a_large_jpeg,
    tiled_tiff,
    wide_tiff,
)  # fmt: skip
from tests.support.broken_images import broken_images
from tests.support.children import children, command_line
from tests.support.image_files import image_files, tiff_files
from tests.support.samples import encoded
from tests.support.workplace import wait_until

GOOD = encoded(fmt="PNG")
LIMITS = InputConfig()
# Many seconds of work on any processor.
BOMB = progressive_jpeg(100_000)


@pytest.fixture(scope="module")
def shared():
    with DecoderPool(LIMITS, threading.Event()) as pool:
        yield pool


@pytest.fixture
def alone():
    """Makes a pool that no other test uses."""
    pools = []

    def make(stop=None, **limits):
        pools.append(DecoderPool(InputConfig(**limits), stop or threading.Event()))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


def decoders(parent=None):
    return children(parent or os.getpid(), "decoder_program")


def check_good(pool):
    np.testing.assert_array_equal(pool.decode(GOOD)[0], decode_image(GOOD, LIMITS)[0])


def outcome(decode, data):
    """The facts about an image, or kind and text of the error."""
    try:
        return decode(data)[1]
    except RequestError as error:
        return type(error), error.message


@pytest.mark.parametrize("exif", ["ignore", "apply"])
def test_pixels_and_facts_are_those_of_the_reader(alone, exif):
    pool, limits = alone(exif=exif), InputConfig(exif=exif)
    for data in image_files():
        (image, facts), (expected, expected_facts) = pool.decode(data), decode_image(data, limits)
        np.testing.assert_array_equal(image, expected)
        assert facts == expected_facts
        assert image.flags.writeable


def test_an_image_stays_as_it_is_when_the_next_one_is_decoded(shared):
    first, _ = shared.decode(encoded(fmt="BMP"))
    before = first.copy()
    for data in image_files():
        shared.decode(data)
    np.testing.assert_array_equal(first, before)


@pytest.mark.slow("decodes hundreds of files twice")
def test_errors_are_those_of_the_reader(shared):
    for name, data in [*broken_images(), ("empty", b"")]:
        assert outcome(shared.decode, data) == outcome(partial(decode_image, config=LIMITS, alone=True), data), name


def test_what_is_beyond_a_limit_is_refused(alone):
    pool = alone(max_pixels=10, max_bytes=len(GOOD))
    with pytest.raises(ImageTooLarge, match="--max_pixels"):
        pool.decode(GOOD)
    with pytest.raises(ImageTooLarge, match="--max_bytes"):
        pool.decode(GOOD + b"\0")


@pytest.mark.slow("works for the time that a decode may take")
@pytest.mark.parametrize(
    "bomb", [BOMB, tiled_tiff(1500), tiled_tiff(700, 16)], ids=["progressive scans", "tiles of one pixel", "deep tiles"]
)
def test_a_decode_that_takes_too_long_is_ended(alone, bomb):
    pool = alone(decode_timeout=0.6)
    with pytest.raises(ImageTooLarge, match=r"more than 0\.6 s of processor time \(--decode_timeout\)") as found:
        pool.decode(bomb)
    assert found.value.code == "image_too_large"
    assert pool.ended == 1
    check_good(pool)


@pytest.mark.slow("takes much memory on purpose")
def test_a_decode_that_takes_too_much_memory_is_ended(alone):
    """Tables of tiles, of which libtiff makes hundreds of megabytes."""
    pool = alone(max_pixels=7_000_000, max_bytes=60_000_000, decode_timeout=300)
    with pytest.raises(ImageTooLarge, match="more memory than --max_pixels allows"):
        pool.decode(tiled_tiff(2600))
    check_good(pool)


@pytest.mark.parametrize(
    "bomb",
    [
        wide_tiff(100, 60_000), tiff_with_a_large_jpeg(60_000), tiff_that_unpacks(400_000_000), large_avif(1100),
        wide_tiff(1100, 3),
    ],
    ids=["bands", "a large JPEG inside", "a piece that unpacks to much", "AVIF", "pixels"],
)  # fmt: skip
def test_small_files_that_want_much_memory_are_answered(alone, bomb):
    """With what they hold, or with a refusal; and their decoder goes on."""
    pool = alone(max_pixels=1_000_000, max_bytes=len(bomb) + len(GOOD))
    check_good(pool)
    before = set(decoders())
    with suppress(BadImage, ImageTooLarge):
        image, facts = pool.decode(bomb)
        assert image.shape == (facts["height"], facts["width"], 3)
    check_good(pool)
    assert set(decoders()) <= before, "one has died"


@pytest.mark.slow("works for some seconds")
@pytest.mark.parametrize("bombs", [8, 24])
def test_good_images_pass_any_number_of_bombs(alone, bombs):
    stop = threading.Event()
    pool = alone(stop, decode_timeout=300)
    with ThreadPoolExecutor(bombs) as threads:
        asked = [threads.submit(pool.decode, BOMB) for _ in range(bombs)]
        wait_until(lambda: len(decoders()) > SLOW_PLACES)
        for _ in range(3):
            check_good(pool)
        assert not wait(asked, 0).done
        stop.set()
        for future in asked:
            with pytest.raises(Overloaded, match="the worker is stopping"):
                future.result(60)
    assert len(decoders()) <= FAST_PLACES + SLOW_PLACES


@pytest.mark.slow("works for some seconds")
def test_what_nobody_waits_for_is_not_decoded_to_the_end(alone):
    """Neither what is being decoded nor what waits for a place."""
    pool = alone(decode_timeout=300)
    given_up = threading.Event()
    watched = pool.watched(lambda: TimedOut("nobody waits") if given_up.is_set() else None)
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(watched.decode, BOMB) for _ in range(8)]
        wait_until(lambda: len(decoders()) > SLOW_PLACES)
        given_up.set()
        for future in asked:
            with pytest.raises(TimedOut):
                future.result(60)
    assert pool.ended == 0
    check_good(pool)


@pytest.mark.slow("works for some seconds")
def test_an_image_on_which_decoders_crash_twice_is_at_fault(alone):
    others = decoders()
    pool = alone(decode_timeout=300)
    with ThreadPoolExecutor(1) as threads:
        bomb = threads.submit(pool.decode, BOMB)
        check_good(pool)
        while not wait([bomb], 0.05).done:
            for number in filter(_busy, set(decoders()) - set(others)):
                os.kill(number, signal.SIGSEGV)
        with pytest.raises(BadImage, match=r"the decoder crashed on it \(SIGSEGV\)"):
            bomb.result()
    check_good(pool)


@pytest.mark.slow("works for some seconds")
def test_an_image_whose_decoder_is_killed_is_decoded_by_another(alone):
    others = decoders()
    pool, heavy = alone(decode_timeout=300), progressive_jpeg(8000)
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(pool.decode, heavy)
        wait_until(lambda: asked.done() or any(_busy(number) for number in set(decoders()) - set(others)), 60)
        for number in filter(_busy, set(decoders()) - set(others)):
            os.kill(number, signal.SIGKILL)
        np.testing.assert_array_equal(asked.result(120)[0], decode_image(heavy, LIMITS)[0])


def test_an_idle_decoder_that_hangs_fails_no_image(alone, monkeypatch):
    monkeypatch.setattr(decoder_process, "_SEND_SECONDS", 0.3)
    others = decoders()
    pool = alone()
    check_good(pool)
    own = set(decoders()) - set(others)
    wait_until(lambda: all(map(_ignores_sigterm, own)))
    for number in own:
        os.kill(number, signal.SIGSTOP)
    large = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (900, 900, 3), np.uint8)), "BMP")
    np.testing.assert_array_equal(pool.decode(large)[0], decode_image(large, LIMITS)[0])


def test_signals_for_the_worker_do_not_end_its_decoders(alone):
    pool = alone()
    check_good(pool)
    wait_until(lambda: all(map(_ignores_sigterm, decoders())))
    before = decoders()
    for number in before:
        os.kill(number, signal.SIGINT)
        os.kill(number, signal.SIGTERM)
        assert os.getsid(number) == number, "Ctrl-C would reach it"
    check_good(pool)
    assert set(before) == set(decoders())


def test_decoders_are_small(shared):
    """No torch, one thread, and no /dev/shm, of which containers have 64 MB."""
    for data in image_files():
        shared.decode(data)
    for number in decoders():
        assert "torch" not in Path(f"/proc/{number}/maps").read_text()
        assert len(list(Path(f"/proc/{number}/task").iterdir())) == 1
        opened = [str(link.readlink()) for link in Path(f"/proc/{number}/fd").iterdir()]
        assert not any(target.startswith("/dev/shm") for target in opened)


def test_what_few_files_need_is_loaded_when_they_come(alone):
    others = set(decoders())
    pool = alone()
    check_good(pool)

    def loaded():
        return any("imagecodecs" in Path(f"/proc/{number}/maps").read_text() for number in set(decoders()) - others)

    assert not loaded()
    for data in tiff_files():
        pool.decode(data)
    assert loaded()


WORKER = """
import sys, threading
from maskworks.config import InputConfig
from maskworks.images.decoder_pool import DecoderPool
from tests.support.bombs import progressive_jpeg
pool = DecoderPool(InputConfig(decode_timeout=300), threading.Event())
for _ in range(4):
    threading.Thread(target=pool.decode, args=[progressive_jpeg(100_000)], daemon=True).start()
print("begun", flush=True)
threading.Event().wait()
"""


@pytest.mark.slow("starts processes")
def test_no_decoder_outlives_a_killed_worker():
    """Not one that waits, and not one in the middle of an image."""
    with subprocess.Popen([sys.executable, "-c", WORKER], stdout=subprocess.PIPE) as worker:
        assert worker.stdout.readline() == b"begun\n"
        wait_until(lambda: sum(_busy(number) for number in decoders(worker.pid)) >= 3, 60)
        orphans = decoders(worker.pid)
        assert len(orphans) >= 2
        worker.kill()
    wait_until(lambda: not any("decoder_program" in command_line(number) for number in orphans), 60)


def test_an_idle_decoder_that_is_killed_fails_no_image(alone):
    pool = alone()
    check_good(pool)
    killed = decoders()
    for number in killed:
        os.kill(number, signal.SIGKILL)
    wait_until(lambda: all(map(_has_ended, killed)))
    check_good(pool)


def _ignores_sigterm(process):
    (mask,) = re.findall(r"SigIgn:\s*(\w+)", Path(f"/proc/{process}/status").read_text())
    return int(mask, 16) >> (signal.SIGTERM - 1) & 1


def _has_ended(process):
    """Also if its parent does not know yet."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def _busy(process):
    """Whether a process has worked for longer than a start takes, a second."""
    ticks = sum(map(int, Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]))
    return ticks > os.sysconf("SC_CLK_TCK")
