"""Decoding in processes: the same pixels and errors, and bounds that hold for any file."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from maskworks.config import InputConfig
from maskworks.errors import BadImage, ImageTooLarge, Overloaded, RequestError, TimedOut
from maskworks.images import decoder_pool
from maskworks.images.decoder_pool import FAST_PLACES, SLOW_PLACES, DecoderPool
from maskworks.images.reader import decode_image
from tests.support.bombs import (
    large_avif,
    tiff_that_unpacks,
    tiff_with_a_large_jpeg,
    tiled_tiff,
    wide_tiff,
)  # fmt: skip
from tests.support.broken_images import broken_images
from tests.support.decoders import BOMB, GOOD, LIMITS, busy, check_good, decoders, new_pools
from tests.support.image_files import image_files
from tests.support.samples import encoded
from tests.support.workplace import wait_until


@pytest.fixture(scope="module")
def shared():
    with DecoderPool(LIMITS, threading.Event()) as pool:
        yield pool


@pytest.fixture
def alone():
    """Makes pools that no other test uses."""
    with new_pools() as make:
        yield make


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
def test_a_decode_that_waits_for_the_processor_is_not_a_slow_one(alone, monkeypatch):
    """It would have to wait until one of the slow ones is done."""
    monkeypatch.setattr(decoder_pool, "_LONGEST_PATIENCE", 300.0)
    others = set(decoders())
    stop = threading.Event()
    pool = alone(stop, decode_timeout=300)
    with ThreadPoolExecutor(SLOW_PLACES + 1) as threads:
        bombs = [threads.submit(pool.decode, BOMB) for _ in range(SLOW_PLACES)]
        wait_until(lambda: sum(map(busy, set(decoders()) - others)) == SLOW_PLACES, 60)
        check_good(pool)  # by a process that is idle now
        (idle,) = (number for number in set(decoders()) - others if not busy(number))
        os.kill(idle, signal.SIGSTOP)
        good = threads.submit(pool.decode, GOOD)
        assert not wait([good], 1.0).done
        os.kill(idle, signal.SIGCONT)
        np.testing.assert_array_equal(good.result(60)[0], decode_image(GOOD, LIMITS)[0])
        assert not wait(bombs, 0).done
        stop.set()
        for bomb in bombs:
            with pytest.raises(Overloaded):
                bomb.result(60)


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


def test_decoders_are_small(shared):
    """No torch, one thread, and no /dev/shm, of which containers have 64 MB. Where memory is short, they go first."""
    for data in image_files():
        shared.decode(data)
    for number in decoders():
        assert Path(f"/proc/{number}/oom_score_adj").read_text() == "1000\n"
        assert "torch" not in Path(f"/proc/{number}/maps").read_text()
        assert len(list(Path(f"/proc/{number}/task").iterdir())) == 1
        opened = [str(link.readlink()) for link in Path(f"/proc/{number}/fd").iterdir()]
        assert not any(target.startswith("/dev/shm") for target in opened)
