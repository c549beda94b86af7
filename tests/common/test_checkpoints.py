"""Weights from files, and no code from them."""

import hashlib
import io
import logging
import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

from maskworks.cache import cache_folder, sha256
from maskworks.errors import CheckpointError, UnsafeCheckpoint
from maskworks_torch.checkpoints import load_state_dict

WEIGHTS = {"layer.weight": torch.arange(6.0).reshape(2, 3), "layer.bias": torch.tensor([1, 2])}


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def saved(content, legacy=False):
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def same(loaded):
    assert list(loaded) == list(WEIGHTS)
    return all(
        torch.equal(loaded[name], value) and loaded[name].device.type == "cpu" for name, value in WEIGHTS.items()
    )


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    "content",
    [
        WEIGHTS,
        {"state_dict": WEIGHTS, "epoch": 3},
        {"model": WEIGHTS, "optimizer": {"lr": 0.1}},
        {"state_dict": {"model": WEIGHTS}},
    ],
    ids=["plain", "state_dict", "model", "both"],
)
def test_files_of_torch(tmp_path, content, legacy):
    path = tmp_path / "weights.pth"
    path.write_bytes(saved(content, legacy))
    assert same(load_state_dict(path))


def test_safetensors_whatever_the_extension(tmp_path):
    for name in ("weights.safetensors", "weights.pth"):
        save_file(WEIGHTS, tmp_path / name)
        loaded = load_state_dict(tmp_path / name)
        assert same(dict(sorted(loaded.items(), reverse=True)))


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("wrap", [lambda evil: evil, lambda evil: {"state_dict": {"a": evil}}], ids=["bare", "inside"])
def test_code_is_refused_by_name_and_not_run(tmp_path, legacy, wrap):
    path, created = tmp_path / "evil.pth", tmp_path / "created"
    path.write_bytes(saved(wrap(Touch(created)), legacy))
    with pytest.raises(
        UnsafeCheckpoint, match=r"evil\.pth: refused: loads posix\.mkdir; expected plain weights"
    ) as caught:
        load_state_dict(path)
    assert "--unsafe_load" in caught.value.message
    assert caught.value.exit_code == 5
    assert not created.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("protocol", range(6))
def test_bare_pickles_do_not_run_either(tmp_path, protocol):
    path, created = tmp_path / "evil.pkl", tmp_path / "created"
    path.write_bytes(pickle.dumps(Touch(created), protocol))
    with pytest.raises(CheckpointError, match=r"expected plain weights|copy or download it again"):
        load_state_dict(path)
    assert not created.exists()


def test_whole_models_are_refused(tmp_path):
    path = tmp_path / "model.pth"
    path.write_bytes(saved(torch.nn.Linear(2, 2)))
    with pytest.raises(UnsafeCheckpoint, match=r"loads torch\.nn\.modules\.linear\.Linear"):
        load_state_dict(path)


def test_who_asks_for_it_gets_the_code_and_a_warning(tmp_path, caplog):
    path, created = tmp_path / "evil.pth", tmp_path / "created"
    path.write_bytes(saved({**WEIGHTS, "x": Touch(created)}))
    with caplog.at_level(logging.WARNING), pytest.raises(CheckpointError, match="no named tensors"):
        load_state_dict(path, unsafe=True)
    assert created.exists()
    assert "code in it runs now" in caplog.text
    path.write_bytes(saved(WEIGHTS))
    assert same(load_state_dict(path, unsafe=True))


@pytest.mark.parametrize("content", [[1, 2], 5, "text", torch.ones(2), {"a": 1}, {"state_dict": {"a": "b"}}])
def test_files_without_weights(tmp_path, content):
    path = tmp_path / "other.pth"
    path.write_bytes(saved(content))
    with pytest.raises(CheckpointError, match=r"other\.pth: holds no named tensors; expected a state dict"):
        load_state_dict(path)


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_cut_off_files(tmp_path, kind):
    path = tmp_path / "weights"
    if kind == "safetensors":
        save_file(WEIGHTS, path)
        data = path.read_bytes()
    else:
        data = saved(WEIGHTS, legacy=kind == "legacy")
    for length in range(0, len(data), max(1, len(data) // 150)):
        path.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match=r"copy or download it again|refused"):
            load_state_dict(path)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"\x80", b"PK\x03\x04", b"x" * 99, b"<html>not found</html>", b"\0" * 99]
)
def test_other_files(tmp_path, data):
    path = tmp_path / "weights.pth"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"weights\.pth: not weights or broken .*; copy or download it again"):
        load_state_dict(path)


def test_missing_files(tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.pth: cannot be read: No such file.*; expected a checkpoint file"):
        load_state_dict(tmp_path / "none.pth")
    with pytest.raises(CheckpointError, match="cannot be read: Is a directory"):
        load_state_dict(tmp_path)


@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_sha256_is_that_of_hashlib(tmp_path, size):
    path = tmp_path / "file"
    path.write_bytes(os.urandom(size))
    assert sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder("sam") == tmp_path / "sam"
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder("sam") == tmp_path / "home" / ".cache" / "sam"
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_something_else_is_refused_without_reading_it(tmp_path, monkeypatch):
    """torch would search a message with all of this in it, in time that grows with the square of its length."""
    monkeypatch.setattr(torch, "load", lambda *args, **flags: pytest.fail("torch reads it"))
    (tmp_path / "model.pth").write_bytes(b"c" + b"x" * 100_000 + b"\ny\n.")
    with pytest.raises(CheckpointError, match="unknown content"):
        load_state_dict(tmp_path / "model.pth")
