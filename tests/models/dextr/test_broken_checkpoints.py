"""Files that are no model files, broken ones, and those that announce more than they hold."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile

import pytest
import torch

from dextr import architectures
from dextr.errors import CheckpointError, UnsafeCheckpointError
from dextr.model import DextrModel
from tests.support.peak_memory import peak_memory


def test_torchscript_is_refused(tmp_path):
    path = tmp_path / "script.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py", "version"):
            archive.writestr(f"script/{name}", b"")
    with pytest.raises(UnsafeCheckpointError, match="TorchScript"):
        DextrModel.from_file(path)


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"hello, world", b"\x80\x02", b"\x80\x02}.", b"PK\x03\x04", b"\x00" * 99]
)
def test_files_that_are_no_models(tmp_path, content):
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.pth"):
        DextrModel.from_file(path)


def test_a_zip_of_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.pth", "w") as archive:
        archive.writestr("a.txt", "hello")
    with pytest.raises(CheckpointError, match="broken or incomplete"):
        DextrModel.from_file(tmp_path / "model.pth")


def test_no_file_and_a_folder(tmp_path):
    for path in (tmp_path / "missing.pth", tmp_path):
        with pytest.raises(CheckpointError, match="no model file"):
            DextrModel.from_file(path)


@pytest.mark.parametrize("name", ["model_a_legacy", "model_a_zip"])
@pytest.mark.parametrize("size", [100, 5_000, 40_000_000, -1])
def test_truncated_originals(original, tmp_path, name, size):
    path = tmp_path / "cut.pth"
    shutil.copyfile(original.file(name), path)
    os.truncate(path, size if size > 0 else path.stat().st_size + size)
    with pytest.raises(CheckpointError, match="broken or incomplete"):
        DextrModel.from_file(path)


def test_a_legacy_file_that_goes_on(original, tmp_path):
    shutil.copyfile(original.file("model_a_legacy"), tmp_path / "long.pth")
    with (tmp_path / "long.pth").open("ab") as file:
        file.write(b"x")
    with pytest.raises(CheckpointError, match="too early or too late"):
        DextrModel.from_file(tmp_path / "long.pth")


@pytest.mark.parametrize(
    "value",
    [b"}r\x00\x00\x80\x00.", b"}p8388608\n.", b"\x96\x00\x00\x00\x08\x00\x00\x00\x00."],
    ids=["number of a value", "the same as text", "length of bytes"],
)
def test_a_few_bytes_cannot_take_much_memory(tmp_path, value):
    """Each announces more than 100 MB, which Python's reader in C would take at once."""
    with zipfile.ZipFile(tmp_path / "model.pth", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + value)
        archive.writestr("archive/version", "3\n")
    with peak_memory() as peak:
        with pytest.raises(CheckpointError):
            DextrModel.from_file(tmp_path / "model.pth")
        assert peak() < 1e6


@pytest.fixture
def values():
    """What a file of ours holds."""
    return DextrModel(architectures.build("mobileunet"), (64, 96), 5, 6.0).checkpoint().as_dict()


@pytest.mark.parametrize("legacy", [False, True])
def test_a_small_file_cannot_hold_a_large_tensor(tmp_path, values, legacy):
    large = torch.zeros(1, dtype=torch.float16).expand(2**31)
    values["state_dict"] = {"final_clf.weight": large}
    torch.save(values, tmp_path / "model.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match=r"shape \(2147483648,\) in a storage of 1 elements"):
        DextrModel.from_file(tmp_path / "model.pth")


@pytest.mark.slow("computes with a network")
def test_tensors_that_no_net_needs_are_not_copied(tmp_path, values):
    """In float32 each would take 4 MB of its own."""
    one = torch.zeros(2**20, dtype=torch.float16)
    values["state_dict"] |= {f"more{number}": one for number in range(200)}
    torch.save(values, tmp_path / "model.pth")
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from dextr.errors import CheckpointError\n"
        "from dextr.model import DextrModel\n"
        "peak = lambda: int(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0]) * 1024\n"
        "before = peak()\n"
        "try:\n"
        "    DextrModel.from_file(sys.argv[1])\n"
        "except CheckpointError:\n"
        "    print(peak() - before)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "model.pth")]
    taken = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert int(taken) < 300e6


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("target_size_yx", (0, 0)),
        ("target_size_yx", (-64, -64)),
        ("target_size_yx", (64, float("inf"))),
        ("target_size_yx", (70, 64)),
        ("target_size_yx", "64"),
        ("padding", -1),
        ("padding", 32),
        ("blob_sigma", 0.0),
        ("blob_sigma", -3.0),
        ("blob_sigma", float("nan")),
        ("blob_sigma", float("inf")),
        ("blob_sigma", 1e300),
        ("state_dict", {"final_clf.weight": torch.tensor(1.0)}),
    ],
)
def test_settings_that_make_no_crop(tmp_path, values, name, value):
    torch.save({**values, name: value}, tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match=r"model\.pth"):
        DextrModel.from_file(tmp_path / "model.pth")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_compressed_files_are_not_unpacked(tmp_path, method):
    """They could be bombs, and broken ones raise errors of their own."""
    with zipfile.ZipFile(tmp_path / "model.pth", "w", method) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}." + bytes(1000))
        archive.writestr("archive/version", "3\n")
    with pytest.raises(CheckpointError, match="compressed"):
        DextrModel.from_file(tmp_path / "model.pth")
