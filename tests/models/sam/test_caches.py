"""Embeddings are computed once, in memory and in a folder, within their bounds and whatever happens to the files."""

from __future__ import annotations

import logging
import math
import os
import subprocess
import sys
import time
import uuid

import numpy as np
import pytest
import torch
from safetensors.torch import save

from maskworks_sam.folder_cache import FolderCache
from maskworks_sam.memory_cache import MemoryCache
from tests.support.sam_models import adapter, photo, random_sam, request_for

SHAPE = (4, 8, 8)
BOX = {"x0": 70, "y0": 20, "x1": 480, "y1": 390}


def tensor(seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32))


def key(number):
    """A key as they are."""
    return f"{number:040x}"


def hits(sam, *images):
    return [found.meta["cache"] for found in sam.predict([request_for(image, box=BOX) for image in images])]


def test_memory_is_bounded_and_the_oldest_goes_first():
    cache = MemoryCache(2 * tensor().nbytes)
    for key in "ab":
        cache.put(key, tensor())
    assert cache.get("a") is not None
    cache.put("c", tensor())
    assert [cache.get(key) is not None for key in "abc"] == [True, False, True]
    assert cache.nbytes == 2 * tensor().nbytes


def test_what_is_too_large_for_memory_is_not_kept():
    cache = MemoryCache(tensor().nbytes - 1)
    cache.put("a", tensor())
    assert cache.get("a") is None
    assert cache.nbytes == 0


def test_the_second_prompt_on_an_image_is_a_hit(sam):
    assert hits(sam, photo()) == ["miss"]
    assert hits(sam, photo(), photo("cat"), photo("cat")) == ["hit", "miss", "hit"]


def test_without_memory_every_image_is_computed():
    sam = adapter(embedding_cache_mb=0)
    assert [hits(sam, photo()) for _ in range(2)] == [["miss"], ["miss"]]


def test_a_pixel_makes_another_image(sam):
    image = photo()
    assert hits(sam, image) == ["miss"]
    image[100, 100, 1] ^= 1
    assert hits(sam, image) == ["miss"]
    assert hits(sam, image[:, ::-1], image.reshape(image.shape[1], image.shape[0], 3)) == ["miss", "miss"]


def test_the_folder_outlives_the_worker(tmp_path):
    (first,) = adapter(embedding_cache=tmp_path).predict([request_for(photo(), box=BOX)])
    (second,) = adapter(embedding_cache=tmp_path).predict([request_for(photo(), box=BOX)])
    assert (first.meta["cache"], second.meta["cache"]) == ("miss", "hit")
    np.testing.assert_array_equal(first[0].mask, second[0].mask)


def test_other_weights_and_precisions_are_kept_apart(tmp_path):
    other = tmp_path / "other.pth"
    torch.save(random_sam().state_dict(), other)
    cache = {"embedding_cache": tmp_path / "cache"}
    for sam in (adapter(**cache), adapter(**cache, precision="bf16"), adapter(other, **cache)):
        assert hits(sam, photo()) == ["miss"]
    assert len(list((tmp_path / "cache").glob("*.safetensors"))) == 3


def test_the_folder_is_bounded_and_the_least_used_goes_first(tmp_path):
    cache = FolderCache(tmp_path, 10_000, SHAPE)
    for age in range(12):
        assert cache.put(key(age), tensor())
        os.utime(tmp_path / f"{key(age)}.safetensors", (age, age))
        assert cache.get(key(0)) is not None
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 10_000
    assert cache.get(key(0)) is not None
    assert cache.get(key(1)) is None
    assert cache.get(key(11)) is not None


def test_what_others_keep_in_the_folder_stays(tmp_path):
    names = {"my_sam_vit_h.safetensors", "a.safetensors", "thesis.draft", ".old.draft", f"{key(1)}.safetensors.bak"}
    for name in names:
        (tmp_path / name).write_bytes(bytes(20_000))
        os.utime(tmp_path / name, (1, 1))
    cache = FolderCache(tmp_path, 10_000, SHAPE)
    assert all(cache.put(key(number), tensor()) for number in range(12))
    assert names <= {path.name for path in tmp_path.iterdir()}
    assert cache.get(key(11)) is not None


def test_what_is_used_in_memory_is_used_in_the_folder(tmp_path, monkeypatch):
    sam = adapter(embedding_cache=tmp_path)
    assert hits(sam, photo()) == ["miss"]
    (path,) = tmp_path.iterdir()

    def is_touched():
        os.utime(path, (1, 1))
        assert hits(sam, photo()) == ["hit"]
        return path.stat().st_mtime > 1

    monkeypatch.setattr("maskworks_sam.folder_cache._TOUCH_SECONDS", math.inf)
    assert [is_touched() for _ in range(2)] == [True, False]
    monkeypatch.setattr("maskworks_sam.folder_cache._TOUCH_SECONDS", 0)
    assert is_touched()


def test_what_is_read_does_not_change_with_the_file(tmp_path):
    cache = FolderCache(tmp_path, 10_000, SHAPE)
    cache.put(key(0), tensor())
    found = cache.get(key(0))
    with (tmp_path / f"{key(0)}.safetensors").open("r+b") as file:
        file.write(bytes(2 * tensor().nbytes))
    assert torch.equal(found, tensor())


def test_nothing_is_kept_that_is_larger_than_the_folder_may_be(tmp_path, caplog):
    assert not FolderCache(tmp_path, 100, SHAPE).put("a", tensor())
    assert list(tmp_path.iterdir()) == []
    assert "is more than all together may take" in caplog.text


def damage_flip(path):
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    [
        damage_flip,
        lambda path: path.write_bytes(path.read_bytes()[:-5]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\xff" * 1000),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: (path.unlink(), os.mkfifo(path)),
    ],
    ids=["a flipped bit", "cut off", "empty", "something else", "a folder", "a pipe"],
)
def test_a_damaged_file_is_computed_again(tmp_path, damage, caplog):
    assert hits(adapter(embedding_cache=tmp_path), photo()) == ["miss"]
    (path,) = tmp_path.iterdir()
    damage(path)
    with caplog.at_level(logging.WARNING):
        assert hits(adapter(embedding_cache=tmp_path), photo()) == ["miss"]
    assert "damaged" in caplog.text
    if path.is_file():
        assert hits(adapter(embedding_cache=tmp_path), photo()) == ["hit"]


def test_a_folder_that_cannot_be_written_is_told_once(tmp_path, caplog):
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    cache = FolderCache(blocked / "cache", 10_000, SHAPE)
    with caplog.at_level(logging.WARNING):
        assert [cache.put(key, tensor()) for key in "abc"] == [False] * 3
    assert caplog.text.count("--embedding_cache") == 1
    assert cache.get("a") is None


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch, caplog):
    def full(self, data):
        with self.open("wb") as file:
            file.write(data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with caplog.at_level(logging.WARNING):
        assert not FolderCache(tmp_path, 10_000, SHAPE).put("a", tensor())
    assert "No space left on device" in caplog.text
    assert list(tmp_path.iterdir()) == []


def test_what_dead_workers_left_half_written_goes(tmp_path):
    old, young = (tmp_path / f".{uuid.uuid4().hex}.draft" for _ in range(2))
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    FolderCache(tmp_path, 10_000, SHAPE).put("a", tensor())
    assert not old.exists()
    assert young.exists()


WRITER = """
import sys, torch
from pathlib import Path
from maskworks_sam.folder_cache import FolderCache
cache = FolderCache(Path(sys.argv[1]), 30_000, (4, 8, 8))
for round in range(60):
    for number in range(20):
        key, value = f"{number:040x}", torch.full((4, 8, 8), float(number))
        cache.put(key, value)
        found = cache.get(key)
        assert found is None or torch.equal(found, value)
"""


@pytest.mark.slow("computes with a network")
def test_workers_share_a_folder(tmp_path):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [(writer.communicate(timeout=100)[1], writer.returncode) for writer in writers] == [("", 0)] * 2
    assert all(path.suffix == ".safetensors" for path in tmp_path.iterdir())
    cache = FolderCache(tmp_path, 30_000, SHAPE)
    found = {path.stem: cache.get(path.stem) for path in tmp_path.iterdir()}
    assert all((values == float(int(name, 16))).all() for name, values in found.items())


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float64, torch.int32])
def test_a_file_of_another_type_counts_as_damaged(tmp_path, kind, caplog):
    (tmp_path / "key.safetensors").write_bytes(save({"embedding": torch.zeros(2, 3, 4, dtype=kind)}, {"blake2b": "0"}))
    assert FolderCache(tmp_path, 1 << 20, (2, 3, 4)).get("key") is None
    assert "damaged" in caplog.text
