"""Web pages of elsewhere: refused unless they are allowed. Requests have the headers that browsers send."""

from __future__ import annotations

import subprocess

import httpx
import pytest

from maskworks.config import HttpConfig
from tests.support.http_process import HttpProcess, form

APP = "https://app.example"


@pytest.fixture(scope="module")
def server():
    process = HttpProcess()
    yield process
    assert process.stop() == 0, process.said
    assert 1 <= len([line for line in process.said if "403 forbidden" in line]) <= 2  # however many there are


@pytest.fixture(scope="module")
def open_server():
    """One that other machines reach, as in a container, and that pages of two origins may use."""
    process = HttpProcess(
        "--host", "0.0.0.0", "--cors", f"{APP},http://LOCALHOST:3000", "--cors", "https://b.example:443"
    )
    yield process
    assert process.stop() == 0, process.said


def ask(server, method: str = "POST", path: str = "/predict", **headers: str) -> httpx.Response:
    names = {name.replace("_", "-").replace("PORT", str(server.port)): value.replace("PORT", str(server.port))
             for name, value in headers.items()}  # fmt: skip
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as client:
        return client.request(method, path, headers=names, files=form() if method == "POST" else None)


def allowed(answer: httpx.Response) -> bool:
    if answer.status_code == 403:
        assert answer.json()["error"]["code"] == "forbidden"
        assert "access-control-allow-origin" not in answer.headers
        return False
    assert answer.status_code in (200, 204), answer.text
    return True


@pytest.mark.parametrize(
    "headers",
    [
        {},  # curl, Python
        {"Origin": "http://127.0.0.1:PORT"},
        {"Origin": "http://localhost:PORT", "Host": "localhost:PORT", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://[::1]:PORT", "Host": "[::1]:PORT"},
        {"Origin": "http://localhost:PORT", "Host": "127.0.0.1:PORT", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://LocalHost:PORT", "Host": "localhost.:PORT", "Sec-Fetch-Site": "same-origin"},
        {"Host": "demo.localhost"},
        {"Host": ""},
        # A proxy that ends TLS and asks by its own name: the browser vouches for the page.
        {"Origin": APP, "Host": "localhost", "Sec-Fetch-Site": "same-origin"},
    ],
)
def test_the_own_page_and_programs_are_served(server, headers):
    assert allowed(ask(server, **headers))


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": APP},
        {"Origin": APP, "Sec-Fetch-Site": "cross-site"},
        {"Origin": "null"},  # a sandboxed frame, a file, a data URL
        {"Origin": ""},
        {"Origin": "http://localhost"},
        {"Origin": "http://localhost:3000", "Sec-Fetch-Site": "same-site"},
        {"Origin": "https://127.0.0.1:PORT", "Host": "127.0.0.1:80"},
        {"Origin": "http://127.0.0.1:PORT.evil.example"},
        {"Origin": "http://127.0.0.1:PORT@evil.example"},
        {"Origin": "http://evil.example:PORT", "Host": "evil.example:PORT"},  # DNS rebinding
        {"Host": "evil.example"},
        {"Host": "localhost.evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "10.0.0.1:PORT"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_pages_of_elsewhere_are_not(server, headers):
    assert not allowed(ask(server, **headers))
    assert (
        not allowed(ask(server, "OPTIONS", Access_Control_Request_Method="POST", **headers)) or "Origin" not in headers
    )


def test_links_lead_to_the_page(server):
    assert allowed(ask(server, "GET", "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate"))
    assert not allowed(ask(server, "GET", "/", Origin=APP))
    assert not allowed(ask(server, "GET", "/metrics", Host="evil.example"))
    assert ask(server, "GET", "/").headers["referrer-policy"] == "same-origin"  # without one Origin may be null


def test_allowed_pages_may_read_answers_and_errors(open_server):
    for origin, said in [(APP, APP), ("http://localhost:3000", None), ("https://b.example", None)]:
        answer = ask(open_server, Origin=origin, Sec_Fetch_Site="cross-site")
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == said or origin
        assert {name.strip() for name in answer.headers["vary"].split(",")} == {"Accept", "Accept-Encoding", "Origin"}
    failed = ask(open_server, "GET", "/nothing", Origin=APP)
    assert (failed.status_code, failed.headers["access-control-allow-origin"]) == (404, APP)
    assert "access-control-allow-credentials" not in failed.headers


def test_others_may_not(open_server):
    for origin in ("https://evil.example", "null", "http://app.example", f"{APP}:8443", f"{APP}.evil.example"):
        assert not allowed(ask(open_server, Origin=origin))
    plain = ask(open_server)
    assert plain.status_code == 200
    assert "access-control-allow-origin" not in plain.headers
    assert "Origin" in plain.headers["vary"]  # a cache is not to give this answer to a page


def test_a_preflight_is_answered_without_a_token():
    server = HttpProcess("--cors", "*", "--token_env", "SECRET", env={"SECRET": "sesame"})
    wanted = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "authorization,content-type"}
    for host in ("localhost", "evil.example"):
        answer = ask(server, "OPTIONS", Origin=APP, Host=host, Access_Control_Request_Private_Network="true", **wanted)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, "*")
        assert "POST" in answer.headers["access-control-allow-methods"]
        assert answer.headers["access-control-allow-headers"] == "authorization,content-type"
        assert answer.headers["access-control-allow-private-network"] == "true"
    assert ask(server, Origin="null").status_code == 401
    assert ask(server, Origin="null", Authorization="Bearer sesame").status_code == 200
    assert server.stop() == 0


def test_the_page_works_behind_a_published_port_and_a_proxy(open_server):
    """A port of a container is published under another number; a proxy with TLS keeps the name that it was asked by."""
    for origin, host in [
        ("http://localhost:9000", "localhost:9000"),
        ("http://192.168.1.5", "192.168.1.5:80"),
        ("https://masks.example", "masks.example"),
        ("https://masks.example:8443", "MASKS.example:8443"),
    ]:
        assert allowed(ask(open_server, Origin=origin, Host=host))


def test_a_proxy_on_this_machine_that_keeps_the_name_is_named():
    server = HttpProcess("--cors", "https://masks.example")
    assert allowed(ask(server, Host="masks.example"))
    assert allowed(ask(server, Host="masks.example", Origin="https://masks.example", Sec_Fetch_Site="same-origin"))
    assert not allowed(ask(server, Host="other.example"))
    assert server.stop() == 0


def test_curl_asks_as_ever(server, tmp_path):
    for url in (f"http://localhost:{server.port}/health", f"http://127.0.0.1:{server.port}/health"):
        assert (
            subprocess.run(["curl", "-sS", "--fail", url], capture_output=True, check=True).stdout == b'{"status":"ok"}'
        )


@pytest.mark.parametrize(
    "origin",
    [
        *("app.example", "https://app.example/", "ftp://a", "null", "https://", "https://a b", "*.a", "https://*.a"),
        *("https://a:0", "https://a:x", "https://[::1", "https://u@a"),
    ],
)
def test_what_is_no_origin_is_named(origin):
    (problem,) = HttpConfig(cors=(origin,)).problems()
    assert f"--cors: {origin}: no origin" in problem
    assert not list(HttpConfig(cors=(APP, "*", "http://[::1]:3000")).problems())
