from __future__ import annotations

import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest

from maskworks.atomic_write import move_file, replacing, write_file


@pytest.fixture
def other_file_system(tmp_path, monkeypatch):
    """Makes a folder `far` behave as if it lay on another file system: renaming into it is refused."""
    (tmp_path / "far").mkdir()
    rename = Path.replace

    def replace(self, target):
        if Path(target).parent.name == "far" and self.parent.name != "far":
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    return tmp_path / "far"


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_write_and_replace(tmp_path):
    for data in (b"one", b"two"):
        write_file(tmp_path / "a", data, tmp_path / ".draft", tmp_path / ".beside")
        assert (tmp_path / "a").read_bytes() == data
    assert names(tmp_path) == ["a"]


def test_write_to_another_file_system(tmp_path, other_file_system):
    write_file(other_file_system / "a", b"data", tmp_path / "draft", other_file_system / ".beside")
    assert names(other_file_system) == ["a"]
    assert not (tmp_path / "draft").exists()


def test_move_to_another_file_system(tmp_path, other_file_system):
    (tmp_path / "a").write_bytes(b"data")
    move_file(tmp_path / "a", other_file_system / "a", other_file_system / ".beside")
    assert names(other_file_system) == ["a"]
    assert not (tmp_path / "a").exists()


def test_a_link_moves_as_a_link_wherever_it_leads(tmp_path, other_file_system):
    """Whoever may put a link into a folder cannot make a copy of what it leads to."""
    (tmp_path / "file").write_bytes(b"data")
    os.mkfifo(tmp_path / "pipe")
    for target in ("file", "pipe", "nowhere", "circle"):
        name = f"to {target}" if target != "circle" else target
        (tmp_path / name).symlink_to(tmp_path / target)
        move_file(tmp_path / name, other_file_system / name, other_file_system / ".beside")
        assert not os.path.lexists(tmp_path / name)
        assert (other_file_system / name).readlink() == tmp_path / target
    assert (tmp_path / "file").read_bytes() == b"data"


def test_a_failure_leaves_nothing_half_done(tmp_path):
    (tmp_path / "a").mkdir()  # a folder in the way: no file can get this name
    with pytest.raises(OSError, match="a"):
        write_file(tmp_path / "a", b"data", tmp_path / ".draft", tmp_path / ".beside")
    assert names(tmp_path) == ["a"]


def test_a_failed_move_keeps_the_source(tmp_path, other_file_system):
    (tmp_path / "a").write_bytes(b"data")
    (other_file_system / "a").mkdir()
    with pytest.raises(OSError, match="a"):
        move_file(tmp_path / "a", other_file_system / "a", other_file_system / ".beside")
    assert (tmp_path / "a").read_bytes() == b"data"
    assert names(other_file_system) == ["a"]


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("no space")))
    with pytest.raises(OSError, match="no space"):
        write_file(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_an_error_while_it_is_written_names_the_file(tmp_path):
    """The system itself names none: the file is open by then."""
    with pytest.raises(OSError, match="No space left") as raised, replacing(tmp_path / "a"):
        Path("/dev/full").write_bytes(b"x")
    assert (raised.value.filename, str(tmp_path / "a") in str(raised.value)) == (str(tmp_path / "a"), True)


def test_an_error_while_it_is_written_leaves_the_old_file(tmp_path):
    write_file(tmp_path / "a", b"old")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a") as draft:
        raise ZeroDivisionError(draft.write_bytes(b"half of the new"))
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_a_draft_that_was_left_behind_is_not_written_into(tmp_path):
    (tmp_path / "precious").write_bytes(b"kept")
    (tmp_path / ".draft").symlink_to("precious")
    write_file(tmp_path / "a", b"new", tmp_path / ".draft")
    assert (tmp_path / "precious").read_bytes() == b"kept"
    assert sorted(names(tmp_path)) == ["a", "precious"]


def test_many_writers_of_one_file(tmp_path):
    contents = [bytes([number]) * 100_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_file(tmp_path / "a", content), contents))
    assert (tmp_path / "a").read_bytes() in contents
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize(
    ("durable", "expected"),
    [("no", ["renamed"]), ("content", ["a file", "renamed"]), ("name", ["a file", "renamed", "a folder"])],
)
def test_what_is_on_the_disk(tmp_path, monkeypatch, durable, expected):
    done = []

    def fsync(number):
        done.append("a folder" if stat.S_ISDIR(os.fstat(number).st_mode) else "a file")

    def replace(self, target):
        done.append("renamed")
        return rename(self, target)

    rename = Path.replace
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    write_file(tmp_path / "a", b"data", durable=durable)
    assert done == expected


@pytest.mark.parametrize(("number", "refused"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_file_systems_that_cannot_sync_a_folder(tmp_path, monkeypatch, number, refused):
    def fsync(file):
        if stat.S_ISDIR(os.fstat(file).st_mode):
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="Input/output") if refused else nullcontext():
        write_file(tmp_path / "a", b"data")
    assert (tmp_path / "a").read_bytes() == b"data"
