"""Files of `torch.save`: what torch reads is read the same, and what takes far more than its size is refused."""

from __future__ import annotations

import copy
import io
import os
import pickle
import zipfile
from collections import Counter, OrderedDict

import pytest
import torch
from safetensors.torch import save_file

from maskworks.errors import CheckpointError
from maskworks_torch import torch_file
from maskworks_torch.checkpoints import load_content, load_state_dict, load_torch
from maskworks_torch.tensor_unpickler import MOST_TENSORS
from tests.support.peak_memory import peak_memory

BASE = torch.arange(24.0).reshape(4, 6)
TYPES = [
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16, torch.bfloat16,
    torch.float32, torch.float64, torch.complex64, torch.complex128, torch.uint16, torch.float8_e4m3fn,
]  # fmt: skip


def through_load_state_dict(path):
    return load_state_dict(path)


def through_dextr(path):
    from dextr.checkpoint_files import checkpoints

    return checkpoints.load(path)


def through_tensormask(path):
    from tensormask import checkpoints

    return checkpoints.read(path)


def through_mmdet(path):
    from maskworks_mmdet.checkpoints import read_checkpoint

    return read_checkpoint(path)


READERS = pytest.mark.parametrize(
    "read", [through_load_state_dict, through_dextr, through_tensormask, through_mmdet], ids=lambda read: read.__name__
)


def refused(read, path, words):
    """The libraries have error classes of their own, by these names."""
    with pytest.raises(Exception, match=words) as caught:
        read(path)
    assert type(caught.value).__name__ in ("CheckpointError", "UnsafeCheckpointError")


def zipped(path, pickled, storages=(), method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("archive/data.pkl", pickled)
        for number, data in enumerate(storages):
            archive.writestr(f"archive/data/{number}", data)
        archive.writestr("archive/version", "3\n")
    return path


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_tensors_of_every_type(tmp_path, dtype, legacy):
    tensors = {"a": BASE.to(dtype), "view": BASE.to(dtype)[1:3, ::2], "none": torch.zeros(0, 3, dtype=dtype)}
    torch.save(tensors, tmp_path / "a.pth", _use_new_zipfile_serialization=not legacy)
    found = load_torch(tmp_path / "a.pth")
    assert list(found) == list(tensors)
    for name, value in tensors.items():
        assert (found[name].dtype, found[name].stride()) == (dtype, value.stride())
        assert torch.equal(found[name].to(torch.complex128), value.to(torch.complex128))


@pytest.mark.slow("loads the optimisers of torch")
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_what_stands_beside_tensors(tmp_path, legacy):
    net = torch.nn.Linear(2, 3)
    optimizer = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    values = {
        "size": torch.Size([1, 2]), "counter": Counter("aab"), "type": torch.float16, "device": torch.device("cpu"),
        "set": {1, 2}, "number": 1 + 2j, "list": [1, 2.5, None, True, "text", b"bytes", 10**30], "tuple": (1, (2,)),
    }  # fmt: skip
    content = {**values, "net": net.state_dict(), "optimizer": optimizer.state_dict(), "parameter": net.weight}
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=not legacy)
    found = load_torch(tmp_path / "a.pth")
    assert {name: found[name] for name in values} == values
    assert isinstance(found["net"], OrderedDict)
    assert found["net"]._metadata == net.state_dict()._metadata
    assert torch.equal(found["parameter"], net.weight)
    again = torch.optim.Adam(net.parameters())
    again.load_state_dict(found["optimizer"])
    assert str(again.state_dict()) == str(optimizer.state_dict())


def test_tensors_that_share_memory_still_do(tmp_path):
    torch.save({"a": BASE, "b": BASE.T}, tmp_path / "a.pth")
    found = load_torch(tmp_path / "a.pth")
    assert found["a"].data_ptr() == found["b"].data_ptr()
    assert torch.equal(found["b"], BASE.T)


def test_a_file_that_is_open_and_another_device(tmp_path):
    buffer = io.BytesIO()
    torch.save({"a": [BASE, (BASE,)], "b": 1}, buffer)
    buffer.seek(0)
    found = load_torch(buffer, map_location="meta")
    assert [found["a"][0].device.type, found["a"][1][0].device.type, found["b"]] == ["meta", "meta", 1]


@READERS
def test_compressed_files_are_not_unpacked(tmp_path, read):
    """4 MB of them can become 8 GB."""
    torch.save({"a": torch.zeros(1 << 20)}, tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth") as stored, zipfile.ZipFile(tmp_path / "b.pth", "w", 8) as archive:
        for entry in stored.infolist():
            archive.writestr(entry.filename, stored.read(entry), zipfile.ZIP_DEFLATED)
    assert (tmp_path / "b.pth").stat().st_size < 10_000
    refused(read, tmp_path / "b.pth", "it is compressed")


@READERS
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_file_is_not_waited_for(tmp_path, read, kind):
    if kind == "pipe":
        os.mkfifo(tmp_path / "target")
    else:
        (tmp_path / "target").symlink_to("/dev/zero")
    (tmp_path / "a.pth").symlink_to("target")
    refused(read, tmp_path / "a.pth", "no regular file|no model file")


def put(value, number):
    """A value in a pickle that is kept under a number and taken off the stack again."""
    return value + b"q" + bytes([number]) + b"0"


STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuJ%stQ"


def many(function, arguments, times):
    """A pickle of a list of what a function makes of the same arguments, again and again."""
    return b"\x80\x02" + put(function, 1) + put(arguments, 2) + b"]" + b"h\x01h\x02Ra" * times + b"."


def tensors(count, size):
    arguments = (
        b"(" + STORAGE % size.to_bytes(4, "little") + b"K\x00J%s\x85K\x01\x85\x89Nt" % size.to_bytes(4, "little")
    )
    return many(b"ctorch._utils\n_rebuild_tensor_v2\n", arguments, count)


LONG = b"X" + (1 << 20).to_bytes(4, "little") + b"x" * (1 << 20)
PAIRS = b"".join(b"M" + number.to_bytes(2, "little") + b"N\x86" for number in range(60_000))
# Of a few megabytes each, what would take gigabytes.
BOMBS = {
    "copies of a text": many(b"c_codecs\nencode\n", b"(" + LONG + b"t", 5_000),
    "copies of a list": many(b"ccollections\nOrderedDict\n", b"(](" + PAIRS + b"et", 5_000),
    "empty sets": b"\x80\x04]" + b"\x8fa" * 1_000_000 + b".",
    "announced": b"\x80\x04]" + b"\x8e" + (1 << 40).to_bytes(8, "little") + b"a.",
}


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=[pytest.mark.slow("reads as much as it may")] if kind == "empty sets" else [])
        for kind in BOMBS
    ],
)
def test_a_pickle_takes_no_more_than_a_multiple_of_its_file(tmp_path, kind):
    zipped(tmp_path / "a.pth", BOMBS[kind])
    with pytest.raises(CheckpointError, match=r"far more memory|broken"):
        load_content(tmp_path / "a.pth")


@READERS
def test_a_pickle_takes_no_more_through_any_reader(tmp_path, read):
    zipped(tmp_path / "a.pth", BOMBS["copies of a text"])
    with peak_memory() as peak:
        refused(read, tmp_path / "a.pth", "far more memory")
        assert peak() < 200e6


@READERS
def test_copies_of_tensors_are_bounded(tmp_path, read):
    """Each is a view of one storage, of which a copy can be made, as in float32."""
    zipped(tmp_path / "a.pth", tensors(1_000, 1 << 18), [bytes(1 << 20)])
    refused(read, tmp_path / "a.pth", "far more memory")


@pytest.mark.slow("makes 100 000 tensors")
def test_a_million_tensors_are_refused(tmp_path):
    zipped(tmp_path / "a.pth", tensors(1_000_000, 1), [bytes(4)])
    with pytest.raises(CheckpointError, match=f"more than {MOST_TENSORS} tensors"):
        load_content(tmp_path / "a.pth")


def test_a_tensor_of_thousands_of_axes(tmp_path):
    axes = b"(" + b"K\x01" * 1_000 + b"t"
    arguments = b"(" + STORAGE % (1).to_bytes(4, "little") + b"K\x00" + axes + axes + b"\x89Nt"
    zipped(tmp_path / "a.pth", many(b"ctorch._utils\n_rebuild_tensor_v2\n", arguments, 1), [bytes(4)])
    with pytest.raises(CheckpointError, match="1000 axes"):
        load_content(tmp_path / "a.pth")


def test_parts_of_an_archive_that_overlap(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}.")
        archive.writestr("archive/data/0", bytes(10_000))
        for number in range(1, 5):
            other = copy.copy(archive.filelist[1])
            other.filename = f"archive/data/{number}"
            archive.filelist.append(other)
    with pytest.raises(CheckpointError, match="overlap"):
        load_content(tmp_path / "a.pth")


def test_a_directory_of_an_archive_is_bounded(tmp_path, monkeypatch):
    zipped(tmp_path / "a.pth", b"\x80\x02}.", [b"data"] * 20)
    assert load_content(tmp_path / "a.pth") == {}
    monkeypatch.setattr(torch_file._Guarded, "most", 1_000)
    with pytest.raises(CheckpointError, match="directory is larger"):
        load_content(tmp_path / "a.pth")


@READERS
def test_a_header_of_safetensors_is_bounded(tmp_path, read):
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    data = (tmp_path / "a.safetensors").read_bytes()
    header = b"{" + b" " * (17 << 20) + data[9 : 8 + int.from_bytes(data[:8], "little")]
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    refused(read, tmp_path / "a.safetensors", "header is larger")


def test_a_legacy_file_does_not_get_what_it_claims(tmp_path):
    """A hundred storages, each within the size of the file."""
    content = {str(number): torch.zeros(1000) for number in range(100)}
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=False)
    os.truncate(tmp_path / "a.pth", 30_000)
    with pytest.raises(CheckpointError, match="does not fit into the file"):
        load_content(tmp_path / "a.pth")


def test_bare_pickles_of_arrays_are_bounded_too(tmp_path):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({}, 2)[:2] + BOMBS["copies of a text"][2:])
    with peak_memory() as peak:
        refused(through_tensormask, tmp_path / "a.pkl", "far more memory")
        assert peak() < 200e6


@READERS
def test_numbers_of_one_hash_are_no_keys(tmp_path, read):
    """Sixty thousand of them take minutes to become the keys of a dictionary."""
    path = tmp_path / "keys.pth"
    torch.save({number * (2**61 - 1): 0 for number in range(1, 2000)}, path)
    refused(read, path, "more than 64 bits|not weights or broken")
