"""Several processes that train together, started as `torchrun` starts them, but with exit codes of their own."""

from __future__ import annotations

import signal
import socket
import subprocess

import pytest
import torch

from dextr.errors import DeviceError
from dextr.model import DextrModel
from dextr.train.job_validation import JobValidation
from dextr.train.object_sets import find_objects
from dextr.train.options import parse
from dextr.train.processes import Processes
from tests.support.dextr_training_command import ENVIRONMENT, LABELS, SMALL, command, curve, draw_ellipses

FLAGS = (*LABELS, *SMALL, "--val_fraction=0.5", "--device=cpu")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    return draw_ellipses(tmp_path, 8)


def environments(count=2):
    """What `torchrun` tells each process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    for rank in map(str, range(count)):
        yield {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": str(count), **meeting}


def start(folder, job, *flags):
    return [
        subprocess.Popen(
            command(job, *flags), cwd=folder, env={**ENVIRONMENT, **own}, stdout=subprocess.PIPE, text=True
        )
        for own in environments()
    ]


def finish(processes):
    """Their exit codes."""
    for process in processes:
        process.communicate()
    return [process.returncode for process in processes]


@pytest.mark.slow("trains a network")
@pytest.mark.timeout(300)  # two processes import torch
def test_the_model_that_is_written_is_the_one_validated(folder):
    flags = (*FLAGS, "--num_epochs=1", "--accumulate=3")
    assert finish(start(folder, "job", *flags)) == [0, 0]
    config = parse("x", ["again", *flags], {})
    objects = find_objects(config, str)
    alone = JobValidation(objects.validation, config, Processes(0, 1, torch.device("cpu")), None)
    found = alone.run(DextrModel.from_file("checkpoints/job.pth"), list)
    ((loss, miou),) = curve(folder, "job", "val_loss", "val_miou")
    assert (float(loss), float(miou)) == pytest.approx((found.loss, found.miou), rel=1e-4)


@pytest.mark.slow("trains a network")
@pytest.mark.timeout(300)
def test_a_signal_to_one_of_them_stops_all(folder):
    processes = start(folder, "job", *FLAGS, "--num_epochs=1000")
    while "Epoch 1 took" not in processes[0].stdout.readline():
        assert processes[0].poll() is None
    processes[1].send_signal(signal.SIGTERM)
    assert finish(processes) == [128 + signal.SIGTERM] * 2
    DextrModel.from_file("checkpoints/job.pth")


def test_each_takes_a_gpu_of_its_own(monkeypatch):
    """The message names the GPU that was tried; there are fewer."""
    lacking = torch.cuda.device_count() + 3
    *_, own = environments(lacking + 1)
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    for flag in ("cuda", "cuda:0"):
        with pytest.raises(DeviceError, match=rf"--device cuda:{lacking}: not usable here"), Processes.joined(flag):
            pass
    with (
        pytest.raises(DeviceError, match="--device cuda:1: with torchrun each process takes a GPU of its own"),
        Processes.joined("cuda:1"),
    ):
        pass


@pytest.mark.skipif(torch.cuda.is_available(), reason="there the first one would wait for the others")
def test_the_first_one_takes_the_first_gpu(monkeypatch):
    for name, value in next(environments()).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(DeviceError, match=r"--device cuda:0: not usable here"), Processes.joined("cuda"):
        pass
