"""Where a model runs."""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from maskworks.config import PRECISIONS
from maskworks.errors import DeviceError
from maskworks_torch.device import select_both, select_device, select_precision


def test_auto_takes_a_gpu_if_there_is_one():
    assert select_device("auto") == ("cuda:0" if torch.cuda.is_available() else "cpu")


def test_the_cpu_is_always_there():
    assert select_device("cpu") == "cpu"


@pytest.mark.slow("takes a second or more")
@pytest.mark.parametrize("name", ["", "gpu", "cuda:99", "cpu:x", "meta", "xpu", "mps", "xla", "hpu", "privateuseone"])
def test_devices_that_do_not_work(name):
    with pytest.raises(
        DeviceError, match=f"^--device {name}: (no such device|not usable here: [^;]+); expected auto, cpu or cuda:N$"
    ) as caught:
        select_device(name)
    assert caught.value.exit_code == 6
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("name", ["fp32", "bf16"])
def test_precision_by_name(name):
    assert select_precision(name, "cpu") == name
    assert select_precision(name, "cuda:0") == name


def test_fp16_is_for_gpus():
    assert select_precision("fp16", "cuda:0") == "fp16"
    with pytest.raises(DeviceError, match="--precision fp16: not for the CPU; expected auto, fp32 or bf16"):
        select_precision("fp16", "cpu")


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("flags\t\t: fpu avx512_bf16 sse2\n", "bf16"),
        ("flags\t\t: fpu amx_bf16\n", "bf16"),
        ("Features\t: fp asimd bf16 i8mm\n", "bf16"),
        ("flags\t\t: fpu avx512f avx2\n", "fp32"),
        ("model name\t: Fictional xbf16y\nflags\t\t: avx512_bf16_not\n", "fp32"),
        ("", "fp32"),
    ],
)
def test_auto_takes_bf16_where_the_cpu_has_it(tmp_path, monkeypatch, cpuinfo, expected):
    file = tmp_path / "cpuinfo"
    file.write_text(cpuinfo)
    # Stands for /proc/cpuinfo, which cannot be changed.
    monkeypatch.setattr("maskworks_torch.device.Path", lambda _: file)
    assert select_precision("auto", "cpu") == expected


@pytest.mark.parametrize(("device", "expected"), [("cuda:0", "fp32"), ("cuda:1", "bf16")])
def test_auto_asks_the_gpu_that_was_chosen(monkeypatch, device, expected):
    """Stands for a machine whose second GPU computes in bf16 and whose first one, the current one, does not."""
    current = ["cuda:0"]

    @contextmanager
    def change(name):
        current.append(name)
        yield
        current.pop()

    monkeypatch.setattr(torch.cuda, "device", change)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: current[-1] == "cuda:1")
    assert select_precision("auto", device) == expected


def test_auto_is_fp32_where_nothing_is_known_about_the_cpu(tmp_path, monkeypatch):
    monkeypatch.setattr("maskworks_torch.device.Path", lambda _: tmp_path / "missing")
    assert select_precision("auto", "cpu") == "fp32"


def test_precision_of_this_machine_is_one_of_the_list():
    assert select_precision("auto", "cpu") in PRECISIONS


def test_the_cpu_has_one_name():
    assert select_device("cpu:0") == "cpu"
    with pytest.raises(DeviceError, match="not for the CPU"):
        select_both("cpu:0", "fp16")


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_precision_that_pytest_forces_reaches_other_processes(precision):
    """Or else `pytest --precision bf16` would prove nothing."""
    folder = Path(__file__).parents[1] / "support" / "processor"
    code = "from maskworks_torch.device import select_precision; print(select_precision('auto', 'cpu'))"
    environment = {**os.environ, "PYTHONPATH": str(folder), "MASKWORKS_TESTS_PRECISION": precision}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout == f"{precision}\n"
