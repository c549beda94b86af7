"""A training that was stopped goes on as if nothing had happened: the same figures to the last bit."""

from __future__ import annotations

import signal
import subprocess

import pytest
import torch

from dextr.model import DextrModel
from dextr.train import training_state
from dextr.train.__main__ import main
from dextr.train.job_files import JobFiles
from tests.support.dextr_training_command import ENVIRONMENT, LABELS, SMALL, command, curve, draw_ellipses

FLAGS = (*LABELS, *SMALL, "--val_fraction=0.3", "--num_epochs=4", "--val_every_n_epochs=2")
COLUMNS = ("epoch", "iteration", "loss", "learning_rate", "val_loss", "val_miou")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return draw_ellipses(tmp_path_factory.mktemp("resume"), 6)


@pytest.fixture(scope="module")
def uninterrupted(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        torch.set_num_threads(1)
        assert main(["whole", *FLAGS]) == 0
    return curve(folder, "whole", *COLUMNS)


def stopped(folder, job, number, after_line, *flags):
    """Starts a job, sends it a signal after a line of its output; its exit code, and what it said after that."""
    process = subprocess.Popen(
        command(job, *flags), cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with process:
        said = ""
        while after_line not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        process.send_signal(number)
        rest = process.stdout.read()
    return process.returncode, rest


@pytest.mark.slow("trains a network")
@pytest.mark.parametrize(
    ("number", "after_line", "workers"),
    [(signal.SIGKILL, "Epoch 3 took", 0), (signal.SIGTERM, "Epoch 1 took", 1), (signal.SIGINT, "Epoch 2 took", 0)],
    ids=["kill -9", "SIGTERM", "SIGINT"],
)
def test_stopped_and_resumed(folder, uninterrupted, monkeypatch, number, after_line, workers):
    job = f"stopped{number}"
    code, said = stopped(folder, job, number, after_line, *FLAGS, f"--num_workers={workers}")
    assert len(curve(folder, job, "epoch")) < 4
    if number == signal.SIGKILL:
        assert code == -number
    else:
        assert code == 128 + number
        assert "Stopped in epoch" in said
        assert "--resume goes on from there" in said
    checkpoint = folder / "checkpoints" / f"{job}.pth"
    DextrModel.from_file(checkpoint)  # is whole

    monkeypatch.chdir(folder)
    torch.set_num_threads(1)
    assert main([job, *FLAGS, "--resume"]) == 0
    assert curve(folder, job, *COLUMNS) == uninterrupted
    expected, found = (torch.load(folder / "checkpoints" / f"{name}.pth")["state_dict"] for name in ("whole", job))
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    log = (folder / "logs" / f"log_{job}.txt").read_text()
    assert log.count("Settings:") == 2
    assert "Going on after step" in log


@pytest.mark.slow("trains a network")
def test_stopped_between_any_two_steps(folder, uninterrupted, monkeypatch):
    """As by a signal before each step and in each validation, again and again."""
    from dextr.train import job as training_job

    class Restless(training_job.Interruption):
        """Asks to stop once the process has taken two steps, or has gone on into a validation."""

        asked = 0

        @property
        def signal(self):
            self.asked += 1
            return signal.SIGTERM if self.asked > 2 else 0

        @signal.setter
        def signal(self, number):
            assert number == 0

    monkeypatch.chdir(folder)
    torch.set_num_threads(1)
    monkeypatch.setattr(training_job, "Interruption", Restless)
    codes = [main(["restless", *FLAGS])]
    while codes[-1] != 0 and len(codes) < 12:
        codes.append(main(["restless", *FLAGS, "--resume"]))
    assert 4 <= len(codes) < 12
    assert set(codes[:-1]) == {128 + signal.SIGTERM}
    assert curve(folder, "restless", *COLUMNS) == uninterrupted


@pytest.mark.slow("trains a network")
def test_resume_before_there_is_a_checkpoint(folder, uninterrupted, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    torch.set_num_threads(1)
    assert main(["anew", *FLAGS, "--resume"]) == 0
    assert "there is no checkpoints/anew.pth yet; beginning anew" in capsys.readouterr().out
    assert curve(folder, "anew", *COLUMNS) == uninterrupted


@pytest.mark.slow("trains a network")
def test_resume_of_what_is_done_or_has_changed(folder, uninterrupted, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    before = (folder / "checkpoints" / "whole.pth").read_bytes()
    assert main(["whole", *FLAGS, "--resume"]) == 0
    assert "Done: model checkpoints/whole.pth" in capsys.readouterr().out
    assert main(["whole", *FLAGS, "--resume", "--learning_rate=0.5", "--num_epochs=9"]) == 2
    said = capsys.readouterr().err
    assert "--learning_rate: is 0.5, was 0.01 when the job began" in said
    assert "--num_epochs: is 9, was 4" in said
    labels = folder / "labels" / "photo5_labels.png"
    stored = labels.read_bytes()
    labels.unlink()
    assert main(["whole", *FLAGS, "--resume"]) == 2
    assert "the objects to train on are not those" in capsys.readouterr().err
    labels.write_bytes(stored)
    assert (folder / "checkpoints" / "whole.pth").read_bytes() == before


@pytest.mark.slow("trains a network")
def test_resume_from_a_model_without_training(folder, uninterrupted, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    best = folder / "checkpoints" / "whole.best.pth"
    (folder / "checkpoints" / "other.pth").write_bytes(best.read_bytes())
    assert main(["other", *FLAGS, "--resume"]) == 5
    assert "start a new job with --load_model checkpoints/other.pth" in capsys.readouterr().err
    (folder / "checkpoints" / "torn.pth").write_bytes(best.read_bytes()[:5000])
    assert main(["torn", *FLAGS, "--resume"]) == 5


@pytest.mark.slow("trains a network")
def test_a_checkpoint_that_does_not_fit_leaves_the_one_before(folder, uninterrupted, monkeypatch):
    """A real limit of file sizes, in a process of its own, stands for a full disk."""
    job = "full"
    (folder / "checkpoints" / f"{job}.pth").write_bytes((folder / "checkpoints" / "whole.best.pth").read_bytes())
    program = (
        "import resource, signal, sys, torch\n"
        "from dextr.errors import TrainingError\n"
        "from dextr.train.job_files import replace_file\n"
        "from pathlib import Path\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try:\n"
        f"    replace_file(Path('checkpoints/{job}.pth'), lambda file: torch.save(torch.zeros(100_000), file))\n"
        "except TrainingError as error:\n"
        "    print(error)\n"
    )
    command_line = [ENVIRONMENT.get("PYTHON", command("x")[0]), "-c", program]
    result = subprocess.run(command_line, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert "cannot be written" in result.stdout
    assert "the one before is kept" in result.stdout
    DextrModel.from_file(folder / "checkpoints" / f"{job}.pth")
    assert not list((folder / "checkpoints").glob("*.new"))


def test_no_room_is_told_before_the_training(folder, monkeypatch, small_model):
    from dextr.errors import TrainingError

    monkeypatch.chdir(folder)
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)  # no disk here is that full
    with pytest.raises(TrainingError, match=r"checkpoints need about 16 MB in .*checkpoints, which has 0 MB left"):
        training_state.check_room(JobFiles("new"), small_model.net, "sgd")
