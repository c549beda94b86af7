"""Commands as people type them: messages, exit codes, and how fast they answer."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from maskworks import options
from maskworks.commands.poll import predict_poll
from maskworks.commands.run import run_command
from maskworks.errors import CheckpointError, ConfigError, DeviceError, GaveUp, TransportError, UnsafeCheckpoint
from tests.support import bright
from tests.support.samples import encoded


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError(["--a: wrong", "--b: wrong, too"]), 2),
        (CheckpointError("broken"), 5),
        (UnsafeCheckpoint("runs code"), 5),
        (DeviceError("no such"), 6),
        (TransportError("full"), 1),
        (GaveUp("away"), 4),
    ],
)
def test_errors_have_exit_codes_and_no_traceback(capsys, error, code):
    def body(args):
        raise error

    assert run_command(options.new_parser("prog", "text"), body, []) == code
    said = capsys.readouterr().err
    for line in str(error).splitlines():
        assert f"prog: {line}" in said


def test_usage_errors_exit_with_2(folders):
    code, said = folders.run("--no_such_flag")
    assert code == 2
    assert "--no_such_flag" in said


def test_wrong_values_are_told_together(folders):
    code, said = folders.run_here("--poll_wait", "-1", "--batch_size", "0", "--prediction_in", "nowhere")
    assert code == 2
    assert said.count("worker") == 0
    for flag in ("--poll_wait", "--batch_size", "--prediction_in"):
        assert flag in said


def test_a_model_that_does_not_fit(folders, capsys):
    too_large = replace(bright.MODEL, load=lambda config: torch.empty(2**50))
    assert predict_poll(too_large, folders.command("--device", "cpu")[2:]) == 6
    assert "--device cpu: its memory does not hold the model" in capsys.readouterr().err


def test_quiet_says_nothing(folders):
    folders.add("a.jpg", encoded(fmt="JPEG"))
    assert folders.run("--quiet") == (0, "")


def test_verbose_says_when_and_how_long(folders):
    folders.add("a.jpg", encoded(fmt="JPEG"))
    code, said = folders.run_here("--verbose")
    assert code == 0
    assert "INFO maskworks" in said
    assert "predict" in said


def test_a_terminal_gets_a_progress_bar(folders):
    folders.add("a.jpg", encoded(fmt="JPEG"))
    terminal = (
        "import pty, sys; sys.exit(pty.spawn(['sh', '-c', 'stty cols 100 rows 40; exec \"$@\"', *sys.argv]) >> 8)"
    )
    result = subprocess.run(
        [sys.executable, "-c", terminal, *folders.command()], capture_output=True, stdin=subprocess.DEVNULL, check=False
    )
    assert result.returncode == 0
    assert b"1/1" in result.stdout


def test_an_empty_folder_is_fine(folders):
    code, said = folders.run_here()
    assert code == 0
    assert said.startswith("0 images done")


HELP = """
import sys
from maskworks_dextr.cli import predict_poll
sys.argv = ["dextr_predict_poll", "--help"]
try:
    predict_poll()
finally:
    heavy = {"torch", "cv2", "PIL", "numpy", "opex", "orjson"} & set(sys.modules)
    print("HEAVY", sorted(heavy))
"""


def test_help_loads_nothing_heavy():
    result = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True)
    assert "--prediction_in DIR" in result.stdout
    assert "HEAVY []" in result.stdout


def test_a_wrong_value_of_the_model_is_told_once(tmp_path):
    command = [sys.executable, "-c", "from maskworks_dextr.cli import predict_poll; predict_poll()", "--threshold", "7"]
    folders = ["--prediction_in", str(tmp_path), "--prediction_out", str(tmp_path / "out")]
    result = subprocess.run([*command, *folders], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.count("--threshold") == 1
