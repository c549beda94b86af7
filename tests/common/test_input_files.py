"""Input files between the look at them and their end: changed, replaced, or never files at all."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from maskworks.config import FolderConfig, InputConfig
from maskworks.errors import BadImage
from maskworks.formats import MaskFiles
from maskworks.transports.folder import input_file
from maskworks.transports.folder import transport as folder
from maskworks.transports.folder.claims import Claims
from maskworks.transports.folder.input_file import NotComplete, read_input
from maskworks.transports.folder.scan import Pair, Scan, Scanner
from maskworks.transports.folder.transport import FolderTransport
from tests.support.samples import PROMPT, encoded, loaded
from tests.support.workplace import wait_until

LIMITS = InputConfig()


def watching(folders, *, suffix=".points", **more):
    config = FolderConfig(prediction_in=folders.inputs, prediction_out=folders.out, settle_wait=0, **more)
    return FolderTransport(config, LIMITS, suffix, MaskFiles())


def after_each_claim(monkeypatch, action):
    """Lets somebody act between the claim of a pair and its reading."""
    take = Claims.take

    def taken(self, pair):
        claim = take(self, pair)
        if claim is not None:
            action(claim)
        return claim

    monkeypatch.setattr(Claims, "take", taken)


@pytest.mark.parametrize("name", ["a.tif", "a.points"])
def test_a_file_that_is_written_after_the_look_goes_back_and_waits(folders, monkeypatch, name):
    whole = {"a.tif": encoded(fmt="TIFF"), "a.points": PROMPT}
    folders.add("a.tif", whole["a.tif"])
    path = folders.inputs / name
    path.write_bytes(whole[name][:-1] + b" ")
    os.utime(path, (60, 60))
    transport = watching(folders)
    with path.open("r+b") as writer, monkeypatch.context() as patch:
        after_each_claim(patch, lambda _: (writer.write(whole[name]), writer.flush()))
        assert transport.receive(1, 0) == []
        assert not transport.exhausted
        assert {path.name for path in folders.inputs.glob("[!.]*")} == {"a.tif", "a.points"}
    (job,) = transport.receive(1, 10)
    assert (job.body, job.prompt) == (whole["a.tif"], whole["a.points"])


def test_a_file_that_is_written_after_the_look_while_a_newer_one_comes(folders, monkeypatch):
    """It cannot go back to its name, so it is answered, and the newer one is done."""
    folders.add("a.tif", encoded(fmt="TIFF"))

    def go_on(claim):
        os.utime(claim.image, (60, 60))
        folders.add("a.tif", encoded(fmt="TIFF"))

    transport = watching(folders)
    with monkeypatch.context() as patch:
        after_each_claim(patch, go_on)
        (job,) = transport.receive(1, 0)
    assert "changed while it was read" in job.error.message
    assert (folders.inputs / "a.tif").exists()


def test_a_file_system_that_dates_files_in_two_ways_keeps_nobody_for_ever(folders, monkeypatch):
    folders.add("a.png")
    monkeypatch.setattr(input_file, "version", lambda state: (state.st_size, state.st_mtime_ns + 1))
    transport = watching(folders)
    assert transport.receive(1, 0) == []
    (job,) = transport.receive(1, 10)
    assert (job.error, job.body) == (None, encoded())


@pytest.mark.parametrize("kind", ["pipe", "device", "nothing"])
def test_what_a_link_leads_to_is_replaced_after_the_look(folders, monkeypatch, kind):
    target = folders.root / "target.png"
    target.write_bytes(encoded())
    (folders.inputs / "a.png").symlink_to(target)

    def replace(_):
        target.unlink()
        if kind == "pipe":
            os.mkfifo(target)
        elif kind == "device":
            target.symlink_to("/dev/zero")

    after_each_claim(monkeypatch, replace)
    (job,) = watching(folders, suffix=None).receive(1, 0)
    assert job.error.code == "bad_image"


def test_no_file_in_the_place_of_one_is_left_where_it_is(tmp_path):
    for kind in ("pipe", "folder"):
        (tmp_path / f"{kind}.points").write_bytes(PROMPT)
        (tmp_path / f"{kind}.png").write_bytes(encoded())
    (tmp_path / "pipe.png").unlink()
    (tmp_path / "folder.points").unlink()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "folder.points").mkdir()
    claims = Claims(tmp_path, ".points")
    for kind in ("pipe", "folder"):
        assert claims.take(Pair(kind, f"{kind}.png", f"{kind}.points")) is None
    claims.close()
    assert {path.name for path in tmp_path.iterdir()} == {"pipe.png", "pipe.points", "folder.png", "folder.points"}


def test_a_version_that_is_not_known_has_to_stay_as_it_is_while_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"data")
    assert read_input(path, None, LIMITS) == b"data"
    with monkeypatch.context() as patch, path.open("r+b") as writer:
        read = input_file.content
        patch.setattr(input_file, "content", lambda *args: (read(*args), writer.truncate(2))[0])
        with pytest.raises(NotComplete):
            read_input(path, None, LIMITS)
    with pytest.raises(BadImage, match="Is a directory"):
        read_input(tmp_path, None, LIMITS)


@pytest.mark.skipif(not Path("/proc/kmsg").exists(), reason="needs files of Linux")
def test_links_to_files_of_the_system_hang_nobody(folders):
    for stem, target in (("log", "/proc/kmsg"), ("memory", "/proc/kcore"), ("pages", "/proc/self/pagemap")):
        (folders.inputs / f"{stem}.png").symlink_to(target)
        (folders.inputs / f"{stem}.points").write_bytes(PROMPT)
        (folders.inputs / f"{stem}-prompt.png").write_bytes(encoded())
        (folders.inputs / f"{stem}-prompt.points").symlink_to(target)
    folders.add("good.jpg", encoded(fmt="JPEG"))
    code, said = folders.run("--incomplete_wait", "0")
    assert code == 3, said
    assert {"good.jpg", "good.json"} <= folders.names()
    assert {path.name for path in folders.failed.glob("log*.png")} == {"log.png", "log-prompt.png"}
    assert (folders.failed / "log.png").is_symlink()


def test_a_link_stays_a_link_on_another_file_system(folders):
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == folders.root.stat().st_dev:
        pytest.skip("no second file system here")
    secret = folders.root / "secret.jpg"
    secret.write_bytes(encoded(fmt="JPEG"))
    (folders.inputs / "a.jpg").symlink_to(secret)
    (folders.inputs / "a.points").write_bytes(PROMPT)
    other = shared / f"maskworks-links-{os.getpid()}"
    try:
        code, said = folders.run("--prediction_out", str(other))
        assert code == 0, said
        assert (other / "a.jpg").readlink() == secret
        assert not (other / "a.points").is_symlink()
    finally:
        shutil.rmtree(other, ignore_errors=True)


def test_a_pipe_in_the_output_folder_hangs_nobody(folders):
    folders.out.mkdir()
    os.mkfifo(folders.out / "a.png")
    folders.add("a.jpg", encoded(fmt="JPEG"))
    code, said = folders.run()
    assert code in (0, 3), said
    assert list(folders.inputs.iterdir()) == []


@pytest.mark.slow("starts processes")
def test_a_half_copied_image_is_not_segmented(folders):
    """A copier that gives a file its full size first, and the formats that mark no end."""
    formats = {"a.bmp": "BMP", "b.tif": "TIFF", "c.webp": "WEBP"}
    images = {name: encoded(fmt=fmt) for name, fmt in formats.items()}
    with folders.start("--continuous", "--poll_wait", "0.05", "--settle_wait", "3600") as worker:
        for name, data in images.items():
            half = len(data) // 2
            folders.add(name, data[:half] + bytes(len(data) - half))
        for stem in ("d", "e"):  # when the second one is done, the worker has looked at the others
            folders.add(f"{stem}.jpg", encoded(fmt="JPEG"))
            wait_until(lambda done=folders.out / f"{stem}.points": done.exists())
        assert {path.name for path in folders.inputs.glob("[abc].*[!s]")} == set(images)
        for name, data in images.items():
            (folders.inputs / name).write_bytes(data)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(10) == 0
    assert folders.run()[0] == 0
    assert [np.array(loaded(folders.out / f"{stem}.png")).sum() for stem in "abc"] == [81, 81, 81]


def test_workers_that_share_a_folder_begin_at_different_places(folders, monkeypatch):
    for index in range(10):
        folders.add(f"{index}.png")
    one, two = watching(folders), watching(folders)
    monkeypatch.setattr(folder.random, "randrange", lambda count: count // 3)
    assert [job.id for job in one.receive(2, 0)] == ["0", "1"]
    assert [job.id for job in two.receive(2, 0)] == ["4", "5"]


def test_names_that_others_have_done_cost_no_locks(tmp_path, monkeypatch):
    claims = Claims(tmp_path, None)
    monkeypatch.setattr("maskworks.transports.folder.claims.NameLock", None)
    assert claims.take(Pair("a", "a.png", None)) is None


def test_an_idle_worker_rests_as_long_as_its_looks_are_dear(folders, monkeypatch):
    looks = []

    def scan(_):
        looks.append(1)
        return Scan((), 0, ("lone.png",), (), seconds=30.0)

    monkeypatch.setattr(Scanner, "scan", scan)
    transport = watching(folders, continuous=True, poll_wait=0.001)
    for _ in range(20):
        transport._wake.set()  # as if files came one after the other
        assert transport.receive(1, 0.001) == []
    assert len(looks) == 1
