"""What happens to workers and folders in the middle of the work: nothing is lost, nothing is done twice."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from maskworks.config import FolderConfig, InputConfig
from maskworks.errors import TransportError
from maskworks.formats import MaskFiles
from maskworks.transports.folder import transport as folder
from maskworks.transports.folder.transport import FolderTransport
from tests.support.samples import PROMPT, encoded, loaded, picture, prompt
from tests.support.workplace import catches, wait_for_line, wait_until


@pytest.mark.slow("starts processes")
def test_terminated_in_the_middle(folders):
    for index in range(10):
        folders.add(f"{index}.jpg", encoded(fmt="JPEG"))
    with folders.start(seconds=0.2) as worker:
        wait_until(lambda: any(name.endswith(".json") for name in folders.names()))
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(10) == 0
    done = {name.partition(".")[0] for name in folders.names() if name.endswith(".json")}
    waiting = {path.stem for path in folders.inputs.iterdir()}
    assert done | waiting == {str(index) for index in range(10)}
    assert not done & waiting
    assert len(list(folders.inputs.iterdir())) == 2 * len(waiting)


@pytest.mark.slow("starts processes")
def test_a_second_signal_ends_at_once(folders):
    folders.add("a.jpg", encoded(fmt="JPEG"))
    with folders.start(seconds=30) as worker:
        wait_until(lambda: not (folders.inputs / "a.jpg").exists())
        worker.send_signal(signal.SIGTERM)
        wait_until(lambda: not catches(worker, signal.SIGTERM))
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(5) == -signal.SIGTERM


def sums(folder: Path) -> dict[str, int]:
    return {path.stem: int(np.array(loaded(path)).sum()) for path in folder.glob("*.png")}


def check_all_done(folders, number):
    """Each image is done once, whole, with its own mask, and nothing else lies around."""
    stems = [str(index) for index in range(number)]
    assert list(folders.inputs.iterdir()) == []
    assert folders.names() == {f"{stem}{end}" for stem in stems for end in (".jpg", ".points", ".png", ".json")}
    assert sums(folders.out) == {stem: 81 * (1 + int(stem) % 9) for stem in stems}
    for stem in stems:
        json.loads((folders.out / f"{stem}.json").read_bytes())


def fill(folders, number):
    """Images whose masks differ: the palette index tells them apart."""
    for index in range(number):
        value = {**json.loads(PROMPT), "label": 1 + index % 9}
        folders.add(f"{index}.jpg", encoded(fmt="JPEG", quality=95), prompt(**value))


@pytest.mark.slow("starts processes")
def test_killed_again_and_again_nothing_is_lost(folders):
    fill(folders, 50)
    chance = random.Random(1)
    for _ in range(20):
        with folders.start(seconds=0.03) as worker:
            wait_until(lambda: (folders.inputs / ".claims").exists() or not list(folders.inputs.iterdir()))
            time.sleep(chance.uniform(0.0, 0.2))  # at any moment of its work
            worker.kill()
    code, said = folders.run_here()
    assert code == 0, said
    check_all_done(folders, 50)


@pytest.mark.slow("starts processes")
def test_two_workers_share_a_folder(folders):
    fill(folders, 40)
    with folders.start(seconds=0.02) as one, folders.start(seconds=0.02) as two:
        said = [worker.communicate(timeout=60)[1] for worker in (one, two)]
        assert (one.returncode, two.returncode) == (0, 0)
    counts = [int(text.rpartition("\n")[0].rpartition("\n")[2].split()[0]) for text in said]
    assert sum(counts) == 40, said
    assert min(counts) > 0
    check_all_done(folders, 40)


@pytest.mark.slow("starts processes")
@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="needs a user whom modes bind")
def test_a_read_only_output_folder_is_an_error_before_the_start(folders):
    folders.add("a.jpg", encoded(fmt="JPEG"))
    folders.out.mkdir()
    folders.out.chmod(0o555)
    folders.root.chmod(0o755)
    user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"] if os.geteuid() == 0 else []
    for path in (folders.root.parents[1], folders.root.parents[0]):
        path.chmod(0o755)
    folders.inputs.chmod(0o777)
    worker = subprocess.run([*user, *folders.command()], capture_output=True, text=True, check=False)
    if "Permission denied" in worker.stderr:
        pytest.skip("the other user cannot run this interpreter")
    assert worker.returncode == 2, worker.stderr
    assert "--prediction_out: no permission to write" in worker.stderr
    assert (folders.inputs / "a.jpg").exists()


FULL = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (140, 140))\n"


@pytest.mark.slow("starts processes")
def test_a_full_output_folder_loses_nothing(folders):
    """A limit on the size of files stands for a full disk: image and pixels are within it, the mask with its note is
    not."""
    stem = "b" * 100  # which stands in the note
    folders.add(f"{stem}.bmp", encoded(picture(size=(5, 5)), "BMP"), b'{"points":[[1,0],[0,1],[2,1],[1,2]]}')
    code = FULL + "import runpy, sys, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); sys.argv = sys.argv[1:]\n"
    code += "runpy.run_path(sys.argv[0], run_name='__main__')"
    python, script, *flags = folders.command()
    worker = subprocess.run([python, "-c", code, script, *flags], capture_output=True, text=True, check=False)
    assert worker.returncode == 1, worker.stderr
    assert f"results of {stem} cannot be written: File too large: {folders.out}/{stem[:1]}" in worker.stderr
    assert "Traceback" not in worker.stderr
    assert {path.name for path in folders.inputs.iterdir()} == {f"{stem}.bmp", f"{stem}.points"}
    assert folders.names() == set()


def test_results_on_another_file_system(folders):
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == folders.root.stat().st_dev:
        pytest.skip("no second file system here")
    folders.add("a.jpg", encoded(fmt="JPEG"))
    folders.add("b.jpg", b"")
    other = shared / f"maskworks-test-{os.getpid()}"
    try:
        code, said = folders.run_here(
            "--prediction_out", str(other), "--prediction_tmp", str(folders.root), "--incomplete_wait", "0"
        )
        assert code == 3, said
        assert folders.names(other) == {"a.jpg", "a.points", "a.png", "a.json"}
        assert folders.names(other / "failed") == {"b.jpg", "b.points", "b.error.json"}
        assert folders.names(folders.root) == set()
        assert list(folders.inputs.iterdir()) == []
    finally:
        shutil.rmtree(other, ignore_errors=True)


def test_odd_entries_do_not_stop_the_others(folders):
    for name in ("circle", "nowhere"):
        (folders.inputs / f"{name}.jpg").symlink_to(f"{name}.jpg" if name == "circle" else "not/here")
        (folders.inputs / f"{name}.points").write_bytes(PROMPT)
    for suffix in ("jpg", "points"):
        os.mkfifo(folders.inputs / f"pipe.{suffix}")
    folders.add("good.jpg", encoded(fmt="JPEG"))
    code, said = folders.run_here("--incomplete_wait", "0.1")
    assert code == 3, said
    assert {"good.jpg", "good.json"} <= folders.names()
    assert {folders.error(name)["code"] for name in ("circle", "nowhere")} == {"bad_image"}
    assert {path.name for path in folders.inputs.iterdir()} == {"pipe.jpg", "pipe.points"}


def test_files_of_another_image_are_not_replaced(folders):
    folders.add("a.png")
    assert folders.run_here()[0] == 0
    folders.add("a.jpg", encoded(fmt="JPEG"))
    code, said = folders.run_here()
    assert code == 3, said
    assert "a.png" in folders.error("a")["message"]
    assert (folders.out / "a.png").read_bytes() == encoded()
    assert folders.names(folders.failed) == {"a.jpg", "a.points", "a.error.json"}


@pytest.mark.slow("starts processes")
def test_the_folder_of_failures_is_taken_away(folders):
    with folders.start("--continuous", "--poll_wait", "0.05", "--incomplete_wait", "0") as worker:
        for name in ("a", "b"):
            folders.add(f"{name}.jpg", b"no image")
            wait_until((folders.failed / f"{name}.points").exists)
            shutil.rmtree(folders.failed)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(10) == 0
        assert "trying again" not in worker.stderr.read()


@pytest.mark.slow("starts processes")
def test_a_name_is_used_again_after_a_crash(folders):
    """The claim of the dead worker and the new pair of the same name are done one after the other."""
    folders.add("a.jpg", encoded(fmt="JPEG"), prompt(**{**json.loads(PROMPT), "label": 1}))
    with folders.start(seconds=30) as worker:
        wait_until(lambda: not (folders.inputs / "a.points").exists())
        worker.kill()
    folders.add("a.jpg", encoded(fmt="JPEG"), prompt(**{**json.loads(PROMPT), "label": 2}))
    code, said = folders.run("--batch_size", "4", "--batch_wait_ms", "300", seconds=0.1)
    assert code == 0, said
    assert "2 images done" in said
    assert np.array(loaded(folders.out / "a.png")).max() == 2
    assert json.loads((folders.out / "a.points").read_bytes())["label"] == 2
    assert json.loads(json.loads((folders.out / "a.json").read_bytes())["meta"]["prompt"])["label"] == 2


@pytest.mark.slow("starts processes")
def test_a_name_is_used_again_and_again(folders):
    """Two workers, and a camera that writes the next picture as soon as the last one was taken: nothing is mixed up."""
    flags = ["--continuous", "--poll_wait", "0.01"]
    with folders.start(*flags, seconds=0.02) as one, folders.start(*flags, seconds=0.02) as two:
        for label in range(1, 31):
            image = encoded(picture(128 + label), "BMP")
            for name, data in (("a.points", prompt(**{**json.loads(PROMPT), "label": label})), ("a.bmp", image)):
                (folders.inputs / ".draft").write_bytes(data)
                (folders.inputs / ".draft").rename(folders.inputs / name)
            wait_until(lambda: not any((folders.inputs / name).exists() for name in ("a.points", "a.bmp")))
            if label % 2 == 0:
                wait_until(lambda: not list(folders.inputs.glob(".claims/*/*")))
                assert np.array(loaded(folders.out / "a.png")).max() == label
                assert (folders.out / "a.bmp").read_bytes() == image
                opex = json.loads((folders.out / "a.json").read_bytes())
                assert json.loads(opex["meta"]["prompt"])["label"] == label
        for worker in (one, two):
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(10) == 0
    assert not list(folders.inputs.glob("[!.]*"))


LEAVE_CLAIMS = """
import os, sys
from pathlib import Path
from maskworks.transports.folder.scan import Pair
from maskworks.transports.folder.claims import Claims
claims = Claims(Path(sys.argv[1]), ".points")
claims.take(Pair("whole", "whole.png", "whole.points"))
claims.take(Pair("half", "half.png", "half.points")).image.unlink()
os._exit(9)
"""


@pytest.mark.slow("starts processes")
def test_a_disk_that_is_full_for_a_moment_loses_no_claims(folders, monkeypatch):
    for stem in ("whole", "half"):
        folders.add(f"{stem}.png")
    subprocess.run([sys.executable, "-c", LEAVE_CLAIMS, str(folders.inputs)], check=False)
    config = FolderConfig(prediction_in=folders.inputs, prediction_out=folders.out, continuous=True)
    transport = FolderTransport(config, InputConfig(), ".points", MaskFiles())
    with monkeypatch.context() as patch:
        patch.setattr(folder, "move_file", full)
        with pytest.raises(TransportError, match="No space left"):
            transport.receive(8, 0)
    (job,) = transport.receive(8, 0)
    assert job.id == "whole"
    assert folders.names() == {"half.points"}


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device", "out")


@pytest.mark.slow("starts processes")
def test_the_input_folder_goes_away_and_comes_back(folders):
    with folders.start("--continuous", "--poll_wait", "0.05") as worker:
        folders.add("a.jpg", encoded(fmt="JPEG"))
        wait_until(lambda: "a.points" in folders.names())
        shutil.rmtree(folders.inputs)
        wait_for_line(worker, "trying again")
        folders.inputs.mkdir()
        folders.add("b.jpg", encoded(fmt="JPEG"))
        wait_until(lambda: "b.points" in folders.names())
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(10) == 0


@pytest.mark.slow("starts processes")
def test_a_vanished_input_folder_ends_a_single_run(folders):
    fill(folders, 5)
    with folders.start(seconds=0.3) as worker:
        wait_until((folders.inputs / ".claims").exists)
        folders.inputs.rename(folders.root / "gone")
        shutil.rmtree(folders.root / "gone", ignore_errors=True)
        _, said = worker.communicate(timeout=20)
    assert worker.returncode in (0, 1), said
    assert "Traceback" not in said
    for path in folders.out.glob("*.json"):
        json.loads(path.read_bytes())
