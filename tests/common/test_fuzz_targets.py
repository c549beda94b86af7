"""The fuzzer's targets without the fuzzer: their seeds, and some hundred changed ones in every run of the tests."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from fuzz.__main__ import INSTRUMENTED, TARGETS, target

CHANGED = 200


def changed(data, random):
    """With some bytes replaced, or a piece taken out, repeated or cut off."""
    array = bytearray(data)
    begin, end = sorted(int(place) for place in random.integers(0, len(array) + 1, 2))
    match random.integers(5):
        case 0:
            del array[begin:end]
        case 1:
            array[begin:begin] = array[begin : min(end, begin + 64)]
        case 2:
            del array[begin:]
        case _:
            for place in random.integers(0, len(array), random.integers(1, 5)):
                array[place] = random.integers(256)
    return bytes(array)


@pytest.mark.slow("tries thousands of inputs")
@pytest.mark.filterwarnings("ignore")  # torch and Pillow remark on what is broken
@pytest.mark.parametrize("name", TARGETS)
def test_a_fuzz_target_takes_seeds_and_changed_seeds(name):
    random = np.random.default_rng(0)
    seeds = list(target(name).seeds())
    for seed in seeds:
        assert len(seed) <= target(name).longest
        target(name).run(seed)
    for _ in range(CHANGED):
        target(name).run(changed(seeds[random.integers(len(seeds))], random)[: target(name).longest])


def test_what_is_watched_for_coverage_is_there():
    assert [name for name in INSTRUMENTED if importlib.util.find_spec(name) is None] == []
