"""tensormask_train: its flags, its signals, its processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from maskworks import log
from maskworks.errors import DeviceError
from maskworks_tensormask import train_command
from maskworks_torch import device
from tensormask.model import TensorMask
from tests.support.commands import run_here
from tests.support.tensormask_settings import SETTINGS

# pycocotools 2.0.11 does not know numpy 2.4 yet.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.mark.slow("trains a network")
def test_the_command_ends_with_the_number_of_the_signal(original, shapes, tmp_path):
    data = ["--annotations", str(shapes[0]), "--images", str(shapes[1]), "--output_dir", str(tmp_path)]
    command = [sys.executable, "-m", "maskworks_tensormask.train_command", str(original.config), *data, "--device=cpu"]
    flags = [*SETTINGS, "SOLVER.MAX_ITER", "100000", "SOLVER.IMS_PER_BATCH", "1", "SOLVER.CHECKPOINT_PERIOD", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([*command, *flags], stderr=subprocess.PIPE, text=True, env=environment) as process:
        while not (tmp_path / "last_checkpoint").exists():  # in the midst of it
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        said = process.communicate()[1]
    assert process.returncode == 128 + signal.SIGTERM
    assert "--resume goes on from there" in said
    assert (tmp_path / (tmp_path / "last_checkpoint").read_text()).exists()


@pytest.mark.slow("trains a network")
def test_the_command_with_values_between_its_flags(original, shapes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = ["--annotations", str(shapes[0]), "--images", str(shapes[1])]
    flags = [*data, *SETTINGS, "SOLVER.MAX_ITER", "1", "--output_dir", "20251121", "--device", "cpu"]
    code, said = run_here(train_command.run, original.config, *flags)
    assert code == 0, said
    folder = tmp_path / "20251121"
    assert TensorMask.from_files(folder / "config.yaml", folder / "model_final.pth").config.output_dir == "20251121"


def test_each_process_touches_its_own_gpu_only(monkeypatch):
    asked = []

    def select_device(name):
        asked.append(name)
        raise DeviceError("it is only asked for")

    # Several GPUs and the processes of torchrun are said to be there; the tests have none.
    monkeypatch.setattr(device, "select_device", select_device)
    monkeypatch.setattr(log, "set_up", lambda config: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for processes in ("8", "1"):
        for name in ("RANK", "LOCAL_RANK"):
            monkeypatch.setenv(name, "5")
        monkeypatch.setenv("WORLD_SIZE", processes)
        for name in ("auto", "cuda", "cuda:0", "cuda:3", "cpu"):
            assert train_command.run(["config.yaml", "--device", name]) == DeviceError.exit_code
    # One GPU for several processes is refused, as in every training.
    assert asked == ["cuda:5", "cuda:5", "cuda:5", "cpu", "auto", "cuda", "cuda:0", "cuda:3", "cpu"]


@pytest.mark.slow("trains a network")
def test_the_command_in_two_processes(original, shapes, tmp_path):
    flags = [
        "--annotations",
        str(shapes[0]),
        "--images",
        str(shapes[1]),
        "--device",
        "cpu",
        "--output_dir",
        str(tmp_path),
    ]
    settings = [*SETTINGS, "SOLVER.MAX_ITER", "3", "INPUT.RANDOM_FLIP", "none"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    result = subprocess.run(
        [*command, "maskworks_tensormask.train_command", str(original.config), *settings, *flags],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    model = TensorMask.from_files(tmp_path / "config.yaml", tmp_path / "model_final.pth")
    assert all(value.isfinite().all() for value in model.net.state_dict().values())


def test_a_folder_that_cannot_be_written(original, shapes):
    data = ["--annotations", shapes[0], "--images", shapes[1], "--output_dir", "/proc/trained", "--device", "cpu"]
    code, said = run_here(train_command.run, original.config, *data, *SETTINGS)
    assert code == 2
    assert "tensormask_train: --output_dir: no file can be made in /proc" in said
