"""Downloads whose SHA-256 nobody knows; the others are in tests/models/dextr/test_download.py."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from maskworks.errors import CheckpointError
from maskworks_torch import download
from tests.support.file_server import CONTENT, running


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "WAIT_S", 0.0)  # the server here does not need time to recover
    with running() as server:
        yield server


def test_it_begins_anew_when_the_connection_breaks(server, tmp_path):
    """The file may be another one by now."""
    server.cut_after = [1_000_000, 500_000]
    path = download.cached_file(server.url, tmp_path / "cache" / "model.pth")
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, None, None]
    assert list(path.parent.iterdir()) == [path]


def test_nothing_is_left_of_a_download_that_fails(server, tmp_path):
    server.cut_after = [1000] * download.ATTEMPTS
    with pytest.raises(CheckpointError, match=rf"1000 of {len(CONTENT)} bytes; fetch it elsewhere") as caught:
        download.cached_file(server.url, tmp_path / "model.pth")
    assert str(tmp_path / "model.pth") in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_several_at_once(server, tmp_path):
    with ThreadPoolExecutor(3) as pool:
        paths = list(pool.map(lambda _: download.cached_file(server.url, tmp_path / "model.pth"), range(3)))
    assert {path.read_bytes() for path in paths} == {CONTENT}
    assert list(tmp_path.iterdir()) == [tmp_path / "model.pth"]


def test_a_bar_is_told_of_every_byte(server, tmp_path):
    from contextlib import nullcontext

    seen = []

    def bar(name, total, done):
        seen.append((name, total, done))
        return nullcontext(seen.append)

    download.cached_file(server.url, tmp_path / "model.pth", bar=bar)
    assert seen[0] == ("model.pth", len(CONTENT), 0)
    assert sum(seen[1:]) == len(CONTENT)
