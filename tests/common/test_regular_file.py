"""Files of strangers: what is not regular is refused and never waited for, what is large is not read."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from pathlib import Path

import pytest

from maskworks import regular_file
from maskworks.regular_file import open_regular, read_regular


def test_a_regular_file_is_read_also_behind_links(tmp_path):
    (tmp_path / "a").write_bytes(b"data")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "c").symlink_to(tmp_path / "b")
    for name in "abc":
        assert read_regular(tmp_path / name, 4) == b"data"


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_what_is_no_regular_file_is_refused(tmp_path, kind):
    if kind == "pipe":
        os.mkfifo(tmp_path / "a")
    else:
        (tmp_path / "a").symlink_to("/dev/zero" if kind == "device" else tmp_path)
    (tmp_path / "link").symlink_to("a")
    for name in ("a", "link"):
        with pytest.raises(OSError, match="Is a directory" if kind == "folder" else "is no regular file"):
            read_regular(tmp_path / name, 100)


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path, monkeypatch):
    path, check = tmp_path / "a", regular_file._check
    path.write_bytes(b"data")

    def replace_it_then(state, path):
        check(state, path)
        path.unlink()
        os.mkfifo(path)
        monkeypatch.setattr(regular_file, "_check", check)

    monkeypatch.setattr(regular_file, "_check", replace_it_then)
    with pytest.raises(OSError, match="is no regular file"):
        read_regular(path, 100)


@pytest.mark.skipif(not Path("/proc/kmsg").exists(), reason="needs files of Linux")
@pytest.mark.parametrize("name", ["/proc/kmsg", "/proc/self/pagemap", "/proc/kcore"])
def test_files_of_the_system_that_wait_or_never_end(tmp_path, name):
    """The first waits, the second is larger than it says, the third says that it is larger than any memory."""
    (tmp_path / "a.png").symlink_to(name)
    data = b""
    with contextlib.suppress(OSError):  # larger than allowed, not there, or not for this user
        data = read_regular(tmp_path / "a.png", 1 << 20)
    assert data == b""


def test_no_more_is_read_than_is_allowed(tmp_path):
    with (tmp_path / "a").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match="is larger than 100 bytes"):
        read_regular(tmp_path / "a", 100)


def test_a_file_that_a_file_server_lent_is_not_waited_for(tmp_path):
    """A client of Samba may write to it for 45 s more."""
    path = tmp_path / "a"
    path.write_bytes(b"data")
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # tells who has the lease that somebody waits
    try:
        with path.open("rb") as lent:
            try:
                fcntl.fcntl(lent, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            except OSError:
                pytest.skip("no leases on this file system")
            with pytest.raises(BlockingIOError):
                open_regular(path)
    finally:
        signal.signal(signal.SIGIO, before)
    assert read_regular(path, 4) == b"data"
