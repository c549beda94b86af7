"""Downloads from a server that misbehaves in every way it can, as DEXTR asks for them."""

from __future__ import annotations

import multiprocessing

import pytest

from dextr.checkpoint_files import download
from dextr.errors import DownloadError
from dextr.model import DextrModel
from maskworks_torch import download as shared
from tests.support.file_server import CONTENT, SHA256, running


@pytest.fixture
def server():
    with running() as server:
        yield server


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(shared, "WAIT_S", 0.0)  # the servers here do not need time to recover
    return tmp_path / "dextr"


def part(folder, server):
    path = folder / f"{server.url.rpartition('/')[2]}.part"
    path.parent.mkdir(exist_ok=True)
    return path


def test_downloaded_once(server, folder):
    path = download.cached_file(server.url, SHA256)
    assert path == folder / f"model-{SHA256}.pth"
    assert path.read_bytes() == CONTENT
    assert download.cached_file(server.url, SHA256) == path
    assert server.asked == [None]
    assert not part(folder, server).exists()


def test_the_cache_is_in_the_home_folder_by_default(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert download.cache_folder() == tmp_path / ".cache" / "dextr"


def test_a_connection_that_breaks_is_continued(server):
    server.cut_after = [1_000_000, 500_000]
    assert download.cached_file(server.url, SHA256).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000000-", "bytes=1500000-"]


def test_a_connection_that_breaks_again_and_again(server, folder):
    server.cut_after = [1000] * shared.ATTEMPTS
    with pytest.raises(DownloadError, match=f"4000 of {len(CONTENT)} bytes"):
        download.cached_file(server.url, SHA256)
    assert part(folder, server).read_bytes() == CONTENT[:4000]
    assert download.cached_file(server.url, SHA256).read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=4000-"


def test_a_server_without_ranges(server):
    server.ranges = False
    server.cut_after = [1_000_000]
    assert download.cached_file(server.url, SHA256).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000000-"]


def test_a_part_from_an_earlier_day(server, folder):
    part(folder, server).write_bytes(CONTENT[:7])
    assert download.cached_file(server.url, SHA256).read_bytes() == CONTENT
    assert server.asked == ["bytes=7-"]


def test_a_part_that_is_complete(server, folder):
    part(folder, server).write_bytes(CONTENT)
    assert download.cached_file(server.url, SHA256).read_bytes() == CONTENT


def test_a_part_that_is_too_long(server, folder):
    part(folder, server).write_bytes(CONTENT + b"more")
    assert download.cached_file(server.url, SHA256).read_bytes() == CONTENT


def test_a_part_of_another_file_is_thrown_away_once(server, folder):
    part(folder, server).write_bytes(b"x" * 1000)
    assert download.cached_file(server.url, SHA256).read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-", None]


def test_another_file_on_the_server(server, folder):
    server.content = b"<html>please log in</html>"
    with pytest.raises(DownloadError, match=f"expected {SHA256}") as caught:
        download.cached_file(server.url, SHA256)
    assert server.url in str(caught.value)
    assert [path.suffix for path in folder.iterdir()] == [".lock"]
    assert server.asked == [None, None]


def test_a_server_in_trouble(server):
    server.errors = [503, 500]
    assert download.cached_file(server.url, SHA256).read_bytes() == CONTENT


def test_a_missing_file_is_asked_for_once(server, folder):
    server.errors = [404]
    with pytest.raises(DownloadError, match="404"):
        download.cached_file(server.url, SHA256)
    assert len(server.asked) == 1


def test_without_network_the_address_and_the_place_for_the_file_are_told(folder):
    with pytest.raises(DownloadError) as caught:
        download.cached_file("http://127.0.0.1:9/model.pth", SHA256)
    assert "http://127.0.0.1:9/model.pth" in str(caught.value)
    assert str(folder / "model.pth") in str(caught.value)


def test_a_file_placed_by_hand(folder):
    folder.mkdir()
    (folder / "model.pth").write_bytes(b"by hand")
    assert download.cached_file("http://127.0.0.1:9/model.pth", SHA256).read_bytes() == b"by hand"


def test_a_folder_that_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DownloadError, match="Not a directory"):
        download.cached_file("http://127.0.0.1:9/model.pth", SHA256)


def test_two_processes_at_once(server):
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        paths = pool.starmap(download.cached_file, [(server.url, SHA256)] * 3)
    assert paths[0].read_bytes() == CONTENT
    assert server.asked == [None]


def test_the_pascal_voc_model(original, folder):
    folder.mkdir()
    (folder / "dextr_pascalvoc_resunet101-a2d81727.pth").symlink_to(original.file("model_a_legacy"))
    assert DextrModel.pascalvoc_resunet101().target_size_yx == (256, 256)
    assert DextrModel.URL_PASCALVOC_RESUNET101.endswith("/dextr_pascalvoc_resunet101-a2d81727.pth")
