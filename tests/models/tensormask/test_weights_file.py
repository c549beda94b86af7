"""Weights that a config names by their address: where they are kept, and what is no address of a file."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from maskworks_torch import download
from tensormask.errors import CheckpointError
from tensormask.training.weights_file import weights_file


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(download, "WAIT_S", 0.0)  # the servers here do not need time to recover


class Handler(BaseHTTPRequestHandler):
    """Answers with what was asked for."""

    def do_GET(self):
        self.server.asked.append(self.path)
        content = f"{self.headers['Host']}{self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content) + self.path.count("short")))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server whose downloads are kept in `cache`."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def test_no_address_leads_out_of_the_cache(server, tmp_path):
    url = f"http://127.0.0.1:{server.server_port}/../../../home/profile"
    path = weights_file(url)
    assert path.name == "profile"
    assert files(tmp_path) == [path]
    assert (tmp_path / "cache" / "tensormask").resolve() in path.resolve().parents


def test_each_address_has_its_own_file(server, tmp_path):
    hosts = [f"http://{host}:{server.server_port}" for host in ("127.0.0.1", "localhost")]
    urls = [f"{host}{path}" for host in hosts for path in ("/a/R-50.pkl", "/b/R-50.pkl", "/a/R-50.pkl?version=2")]
    for _ in range(2):
        assert [weights_file(url).read_text() for url in urls] == [url.removeprefix("http://") for url in urls]
    assert len(server.asked) == len(urls)
    assert len(files(tmp_path)) == len(urls)


@pytest.mark.parametrize("end", ["", "/", "/a/", "/a/.", "/a/..", "/..?b.pkl", "/" + "a" * 300, "/\0", "/\ud800", "]["])
def test_what_does_not_end_in_the_name_of_a_file(end):
    with pytest.raises(CheckpointError, match="does not end in the name of a file"):
        weights_file(f"http://[::1]{end}")


@pytest.mark.parametrize("end", ["/short.pkl", "/a b.pkl", "/\N{SNOWMAN}.pkl"])
def test_a_download_that_fails_leaves_nothing(server, tmp_path, end):
    with pytest.raises(CheckpointError, match="cannot be downloaded"):
        weights_file(f"http://127.0.0.1:{server.server_port}{end}")
    assert files(tmp_path) == []


def test_files_and_nothing(tmp_path):
    assert weights_file("") is None
    assert weights_file(str(tmp_path / "R-50.pkl")) == tmp_path / "R-50.pkl"


@pytest.mark.parametrize("name", ["detectron2://", "https://dl.fbaipublicfiles.com/detectron2/"])
def test_what_earlier_versions_downloaded_is_found(tmp_path, monkeypatch, name):
    """They kept it by its path alone; there is no network here."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", no_network)
    kept = tmp_path / "tensormask" / "detectron2" / "ImageNetPretrained" / "R-50.pkl"
    kept.parent.mkdir(parents=True)
    kept.touch()
    (tmp_path / "R-50.pkl").touch()
    assert weights_file(f"{name}ImageNetPretrained/R-50.pkl") == kept
    for other in (f"{name}../../R-50.pkl", "https://example.org/detectron2/ImageNetPretrained/R-50.pkl"):
        with pytest.raises(CheckpointError, match="cannot be downloaded: no network"):
            weights_file(other)


def no_network(*_args, **_kwargs):
    raise OSError("no network")
