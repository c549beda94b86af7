"""The processes that decode: they die, hang, hear signals, and no image is lost with them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskworks.errors import BadImage
from maskworks.images import decoder_process
from maskworks.images.decoder_process import DecoderProcess
from maskworks.images.reader import decode_image
from tests.support.bombs import (
    progressive_jpeg,
)  # fmt: skip
from tests.support.children import command_line
from tests.support.decoders import BOMB, GOOD, LIMITS, busy, check_good, decoders, new_pools
from tests.support.image_files import tiff_files
from tests.support.samples import encoded
from tests.support.workplace import wait_until


@pytest.fixture
def alone():
    """Makes pools that no other test uses."""
    with new_pools() as make:
        yield make


@pytest.mark.slow("works for some seconds")
def test_an_image_on_which_decoders_crash_twice_is_at_fault(alone):
    others = decoders()
    pool = alone(decode_timeout=300)
    with ThreadPoolExecutor(1) as threads:
        bomb = threads.submit(pool.decode, BOMB)
        check_good(pool)
        while not wait([bomb], 0.05).done:
            for number in filter(busy, set(decoders()) - set(others)):
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
        wait_until(lambda: asked.done() or any(busy(number) for number in set(decoders()) - set(others)), 60)
        for number in filter(busy, set(decoders()) - set(others)):
            os.kill(number, signal.SIGKILL)
        np.testing.assert_array_equal(asked.result(120)[0], decode_image(heavy, LIMITS)[0])


def test_a_slow_decode_of_a_worker_of_low_priority_keeps_that():
    """A higher one would take a privilege."""
    process = DecoderProcess(LIMITS)
    process.send(GOOD)
    assert process.ready(60)
    number = decoders()[-1]
    os.setpriority(os.PRIO_PROCESS, number, 19)
    process.lower()
    assert os.getpriority(os.PRIO_PROCESS, number) == 19
    process.end()


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
        assert os.getpgid(number) == number, "Ctrl-C would reach it"
        assert os.getsid(number) == os.getsid(0), "its priority would count for nothing beside other sessions"
    check_good(pool)
    assert set(before) == set(decoders())


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
        wait_until(lambda: sum(busy(number) for number in decoders(worker.pid)) >= 3, 60)
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
