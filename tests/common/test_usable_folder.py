"""Folders that nothing can be written in are told before there is work, in a line."""

from __future__ import annotations

import io
import sys

import pytest
from tqdm import tqdm

from maskworks.commands.poll import predict_poll
from maskworks.config.usable_folder import folder_problem
from maskworks.progress import Progress
from maskworks.types import Outcome
from tests.support.bright import MODEL
from tests.support.commands import run_here
from tests.support.jobs import a_job
from tests.support.samples import PROMPT, encoded


@pytest.mark.parametrize("place", ["/proc", "/proc/self/results", "/sys", "/dev/null", "/dev/full/results"])
def test_a_place_of_the_system(tmp_path, place):
    code, said = run_here(predict_poll_of_bright, "--prediction_in", tmp_path, "--prediction_out", place)
    assert code == 2
    assert "Traceback" not in said
    assert said.startswith("bright_predict_poll: --prediction_out: ")


def predict_poll_of_bright(flags):
    return predict_poll(MODEL, flags)


def test_looking_leaves_nothing_behind(tmp_path):
    assert folder_problem(tmp_path) == folder_problem(tmp_path / "new" / "folder") == ""
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_failures_is_made_when_something_fails(folders):
    for name, data in (("good", encoded()), ("bad", b"no image")):
        (folders.inputs / f"{name}.png").write_bytes(data)
        (folders.inputs / f"{name}.points").write_bytes(PROMPT)
        flags = ["--prediction_in", folders.inputs, "--prediction_out", folders.out, "--incomplete_wait", "0"]
        code, said = run_here(predict_poll_of_bright, *flags)
        assert (code, folders.failed.exists()) == ((3, True) if name == "bad" else (0, False)), said


def test_the_bar_counts_what_is_in_hand(monkeypatch):
    waiting = iter([29, 28, 10, 0])
    monkeypatch.setattr(sys, "stderr", Terminal())
    bar = Progress(True, lambda: next(waiting))
    assert isinstance(bar._bar, tqdm)
    for total in (30, 30, 30, 30):
        bar.report(a_job("a"), Outcome(parts={"reply": b""}))
        assert bar._bar.total == total
    bar.close()
    assert bar._bar.total == 4  # others took the rest


class Terminal(io.StringIO):
    def isatty(self):
        return True
