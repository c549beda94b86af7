from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from maskworks import heartbeat
from maskworks.errors import ConfigError
from tests.support.redis_process import free_port
from tests.support.workplace import WORKER, wait_until


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(heartbeat, "folder", lambda: tmp_path / "beats")
    monkeypatch.setattr(heartbeat, "_INTERVAL", 0.02)
    return tmp_path / "beats"


def wait_for(text):
    wait_until(lambda: text in heartbeat.check("worker") if text else not heartbeat.check("worker"))


def test_nobody_is_there():
    assert heartbeat.check("worker") == "no worker is running"


def test_a_worker_is_well_and_then_gone():
    with heartbeat.Heartbeat("worker", lambda: None):
        wait_for("")
    assert heartbeat.check("worker") == "no worker is running"


def test_a_server_that_does_not_answer_is_named():
    answers = []

    def probe():
        if not answers:
            raise ConnectionError("refused")

    with heartbeat.Heartbeat("worker", probe):
        wait_for("refused")
        assert heartbeat.check("worker", live=True) == ""
        answers.append(True)
        wait_for("")


def test_what_is_asked_later_is_not_ready_before():
    with heartbeat.Heartbeat("worker") as beat:
        wait_for("not ready yet")
        assert heartbeat.check("worker", live=True) == ""
        beat.probe = lambda: None
        wait_for("")


def test_a_server_that_says_nothing_does_not_keep_a_worker_from_living(monkeypatch):
    goes_on, probes = threading.Event(), []

    def probe():
        probes.append(True)
        assert len(probes) == 1 or goes_on.wait(20)

    with heartbeat.Heartbeat("worker", probe):
        wait_for("")
        monkeypatch.setattr(heartbeat, "_STALE", 0.5)
        wait_for("does not answer")
        assert heartbeat.check("worker", live=True) == ""
        goes_on.set()
        wait_for("")


def test_the_end_does_not_wait_for_the_server():
    goes_on = threading.Event()
    with heartbeat.Heartbeat("worker", lambda: goes_on.wait(60)):
        wait_for("not ready yet")
    assert heartbeat.check("worker") == "no worker is running"
    goes_on.set()


@pytest.mark.slow("starts processes")
def test_a_worker_that_hangs_is_found(folders, tmp_path, monkeypatch):
    """As a whole, with all its threads."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(heartbeat, "folder", lambda: tmp_path / f"maskworks-{os.getuid()}")
    with folders.start("--continuous", "--quiet") as worker:
        wait_until(lambda: list(heartbeat.folder().glob("*.json")))
        worker.send_signal(signal.SIGSTOP)
        (beat,) = heartbeat.folder().glob("*.json")
        os.utime(beat, (1, 1))
        for live in (False, True):
            assert f"{beat.stem}: no sign of life" in heartbeat.check("bright_predict_poll", live=live)
        worker.kill()


@pytest.mark.slow("starts processes")
def test_the_process_number_of_a_dead_worker_is_in_use_again(folder, tmp_path):
    command = [sys.executable, str(WORKER), "--prediction_in", str(tmp_path), "--prediction_out", str(tmp_path / "out")]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen([*command, "--continuous", "--quiet"], env=environment) as worker:
        wait_until(lambda: list(tmp_path.glob("maskworks-*/*.json")))
        worker.kill()
    (left,) = tmp_path.glob("maskworks-*/*.json")
    folder.mkdir(mode=0o700)
    left.rename(folder / f"worker-{os.getppid()}.json")
    os.utime(folder / f"worker-{os.getppid()}.json", (1, 1))
    with heartbeat.Heartbeat("worker", lambda: None):
        wait_for("")
        assert [path.stem for path in folder.glob("*.json")] == [f"worker-{os.getpid()}"]
    assert heartbeat.check("worker") == "no worker is running"


def test_the_dead_are_cleared_away(folder):
    folder.mkdir(mode=0o700)
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    (folder / f"worker-{process.pid}.json").write_text('{"problem": ""}')
    assert heartbeat.check("worker") == "no worker is running"
    assert list(folder.iterdir()) == []


@pytest.mark.slow("starts processes")
def test_the_flag_needs_no_other_flags(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [sys.executable, str(WORKER)]
    result = subprocess.run([*command, "--check"], capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 1
    assert "no bright_predict_poll is running" in result.stderr
    (tmp_path / "in").mkdir()
    folders = ["--prediction_in", str(tmp_path / "in"), "--prediction_out", str(tmp_path / "out")]
    with subprocess.Popen([*command, *folders, "--continuous", "--quiet"], env=environment) as worker:
        check = [*command, "--check"]
        wait_until(lambda: not subprocess.run(check, capture_output=True, env=environment, check=False).returncode)
        worker.terminate()
        assert worker.wait(10) == 0


@pytest.mark.slow("starts processes")
def test_a_worker_that_waits_for_its_server_lives(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path), "BRIGHT_COMMAND": "redis"}
    command = [sys.executable, str(WORKER)]

    def check(*kind):
        return subprocess.run([*command, "--check", *kind], capture_output=True, env=environment, check=False)

    flags = ["--redis_in", "a", "--redis_out", "b", "--redis_port", str(free_port()), "--redis_mode", "stream"]
    with subprocess.Popen([*command, *flags, "--quiet"], env=environment, stderr=subprocess.DEVNULL) as worker:
        wait_until(lambda: check("live").returncode == 0)
        ready = check()
        assert (ready.returncode, b"is not ready yet" in ready.stderr) == (1, True)
        worker.terminate()
        assert worker.wait(30) == 4


@pytest.mark.parametrize("kind", ["open to others", "a link"])
def test_a_folder_that_others_can_write_in_is_not_used(folder, tmp_path, kind):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    if kind == "a link":
        folder.symlink_to(elsewhere)
    else:
        folder.mkdir()
        folder.chmod(0o777)
    with heartbeat.Heartbeat("worker", lambda: None):
        time.sleep(0.1)  # some beats, none of which may be written
        assert list(folder.iterdir()) == []
        assert "not this user's own folder" in heartbeat.check("worker")


def test_without_any_temporary_folder_the_reason_is_said(monkeypatch):
    def none():
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.undo()
    monkeypatch.setattr(tempfile, "gettempdir", none)
    with pytest.raises(ConfigError, match="name it in TMPDIR"):
        heartbeat.Heartbeat("a_worker")
