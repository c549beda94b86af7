"""What is HTTP and what is not, to the letter (RFC 9110, RFC 9112): raw bytes to a server, its answers as bytes."""

from __future__ import annotations

import json
import socket
import time
from itertools import pairwise

import pytest

from maskworks.config import HttpConfig
from tests.support.http_process import HttpProcess, read_answer, statuses
from tests.support.redis_process import free_port
from tests.support.samples import encoded

GOOD = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
CHUNKED = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
KIBI = 1024


@pytest.fixture(scope="module")
def ports():
    """Of the two servers that a worker may have: for images, and for metrics."""
    metrics = free_port()
    process = HttpProcess("--metrics_port", str(metrics))
    yield process.port, metrics
    assert process.stop() == 0, process.said
    assert not [line for line in process.said if "ASGI" in line or "asyncio" in line or "Traceback" in line]
    assert len([line for line in process.said if "bad_request" in line]) <= 3  # however many there are


@pytest.fixture
def port(ports):
    return ports[0]


def send(port: int, *parts: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            connection.sendall(part)
        return read_answer(connection)


def error_of(answer: bytes) -> tuple[int, str]:
    """The last answer, which has to be an error in JSON that ends the connection: its status and its code."""
    head, _, body = answer.rpartition(b"\r\n\r\n")
    lines = head.rpartition(b"HTTP/1.1 ")[2].lower().split(b"\r\n")
    assert {b"content-type: application/json", b"connection: close", b"content-length: %d" % len(body)} <= set(lines)
    error = json.loads(body)["error"]
    assert error["message"]
    return int(lines[0].split()[0]), error["code"]


def get(*lines: bytes, start: bytes = b"GET /health HTTP/1.1", host: bytes = b"Host: localhost") -> bytes:
    return b"\r\n".join([start, *([host] if host else []), *lines, b"", b""])


def post(*lines: bytes, body: bytes = b"") -> bytes:
    return get(*lines, start=b"POST /predict HTTP/1.1") + body


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"nonsense\r\n\r\n", 400, "bad_request"),
        (b"\x16\x03\x01\x02\x00", 400, "bad_request"),  # TLS, of which no line ends
        (b"GET /health\r\n", 400, "bad_request"),
        (b"GET /health HTTP/1.1\n", 400, "bad_request"),
        (b"GET  /health HTTP/1.1\r\n", 400, "bad_request"),
        (b"GET /he alth HTTP/1.1\r\n", 400, "bad_request"),
        (get(start=b"GET health HTTP/1.1"), 400, "bad_request"),
        (get(start=b"GET * HTTP/1.1"), 400, "bad_request"),
        (get(start=b"GET ftp://localhost/health HTTP/1.1"), 400, "bad_request"),
        (get(start=b"GET http:///health HTTP/1.1"), 400, "bad_request"),
        (get(start=b"GET http://u@localhost/health HTTP/1.1"), 400, "bad_request"),
        (get(start=b"GET /health#predict HTTP/1.1"), 400, "bad_request"),
        (b"X" * 100, 400, "bad_request"),
        (get(start=b"GET /health HTTP/2.0"), 505, "http_version_not_supported"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "http_version_not_supported"),
        (get(start=b"BREW /health HTTP/1.1"), 501, "not_implemented"),
        (get(start=b"PROPFIND /health HTTP/1.1"), 501, "not_implemented"),
        (get(start=b"get /health HTTP/1.1"), 501, "not_implemented"),
        (get(host=b""), 400, "bad_request"),
        (get(b"Host: localhost"), 400, "bad_request"),
        (get(host=b"Host: local host"), 400, "bad_request"),
        (get(host=b"Host: localhost/health"), 400, "bad_request"),
        (get(host=b"Host: [::1"), 400, "bad_request"),
        (get(b"Host: b", start=b"GET /health HTTP/1.0"), 400, "bad_request"),
        (get(b"A : b"), 400, "bad_request"),
        (get(b"A"), 400, "bad_request"),
        (get(b": b"), 400, "bad_request"),
        (get(b"A: b", b" c"), 400, "bad_request"),
        (get(b" c"), 400, "bad_request"),
        (get(b"Upgrade: h2c", b" c"), 400, "bad_request"),
        (get(b"A: b\rc"), 400, "bad_request"),
        (get(b"A: b\nB: c"), 400, "bad_request"),
        (get(b"A: b\0c"), 400, "bad_request"),
        (get(b"A: b\x01c"), 400, "bad_request"),
        (get(b"A\0: b"), 400, "bad_request"),
        (post(b"Content-Length: 3", b"Content-Length: 3", body=b"abc"), 400, "bad_request"),
        (post(b"Content-Length: 3", b"Content-Length: 4", body=b"abc"), 400, "bad_request"),
        (post(b"Content-Length: 3, 3", body=b"abc"), 400, "bad_request"),
        (post(b"Content-Length: +3", body=b"abc"), 400, "bad_request"),
        (post(b"Content-Length: 0x3", body=b"abc"), 400, "bad_request"),
        (post(b"Content-Length: -3"), 400, "bad_request"),
        (post(b"Content-Length: "), 400, "bad_request"),
        (post(b"Content-Length: " + b"0" * 5000 + b"3", body=b"abc"), 400, "bad_request"),
        (post(b"Content-Length: 99999999999999999999999"), 400, "bad_request"),
        (post(b"Content-Length: 3", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), 400, "bad_request"),
        (post(b"Transfer-Encoding: chunked", b"Content-Length: 3", body=b"0\r\n\r\n"), 400, "bad_request"),
        (post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), 501, "not_implemented"),
        (post(b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), 501, "not_implemented"),
        (post(b"Transfer-Encoding: gzip", body=b"0\r\n\r\n"), 501, "not_implemented"),
        (post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"), 501, "not_implemented"),
        (post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"), 400, "bad_request"),
        (post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"), 400, "bad_request"),
        (get(b"Transfer-Encoding: chunked", start=b"POST /predict HTTP/1.0") + b"0\r\n\r\n", 400, "bad_request"),
        (CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n", 400, "bad_request"),
        (CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n", 400, "bad_request"),
        (CHUNKED + b"3\nabc\n0\n\n", 400, "bad_request"),
        (CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n", 400, "bad_request"),
        (CHUNKED + b"fffffffffffffffff\r\n", 400, "bad_request"),
        (CHUNKED + b"3;a\nb\r\nabc\r\n0\r\n\r\n", 400, "bad_request"),
        (CHUNKED + b"3\r\nabc\r\n0\r\nContent-Length: 5\r\n\r\n", 400, "bad_request"),
        (CHUNKED + b"0" * 100 * KIBI, 431, "request_header_fields_too_large"),
        (CHUNKED + b"1;a=" + b"x" * 100 * KIBI, 431, "request_header_fields_too_large"),
        (CHUNKED + b"0\r\n" + b"A: b\r\n" * 20_000, 431, "request_header_fields_too_large"),
        (get(b"A: " + b"x" * 64 * KIBI), 431, "request_header_fields_too_large"),
        (get(b"A:" + b" " * 64 * KIBI + b"x"), 431, "request_header_fields_too_large"),
        (get(start=b"GET /health?" + b"x" * 64 * KIBI + b" HTTP/1.1"), 414, "uri_too_long"),
        (b"GET /health?" + b"x" * 100 * KIBI, 414, "uri_too_long"),
    ],
)  # fmt: skip
def test_what_is_no_request_is_answered_last(port, sent, status, code):
    """After the answers to the requests before it, and before nothing: what follows is not read."""
    answer = send(port, GOOD * 9 + sent + GOOD)
    assert statuses(answer) == [200] * 9 + [status]
    assert error_of(answer) == (status, code)


@pytest.mark.parametrize("size", [1, 7, 30_000])
def test_limits_do_not_depend_on_packets(port, size):
    """Each head is as long as may be, or a byte longer; it comes at once, or with its ends in small packets."""
    line, headers = b"GET /health?%b HTTP/1.1\r\n", b"Host: localhost\r\nConnection: close\r\nX: %b\r\n\r\n"
    for more, status in [((0, 0), 200), ((1, 0), 414), ((0, 1), 431)]:
        first = line % (b"x" * (64 * KIBI - len(line % b"") + more[0]))
        rest = headers % (b"y" * (64 * KIBI - len(headers % b"") + more[1]))
        sent = first + rest
        assert statuses(send(port, sent)) == [status]
        cuts = sorted({0, size, len(first) - size, len(first), len(first) + size, len(sent) - size, len(sent)})
        assert statuses(send(port, *(sent[start:end] for start, end in pairwise(cuts)))) == [status]


def test_requests_cut_anywhere_are_read_alike(port):
    body = b"3;x=y\r\nabc\r\n\r\n"[:-2] + b"0\r\nHost: evil\r\nA: b\r\n\r\n"
    sent = b"\r\n" + CHUNKED + body + get(b"Upgrade: h2c", b"Connection: upgrade") + LAST
    for cut in range(1, len(sent), 3):
        assert statuses(send(port, sent[:cut], sent[cut:])) == [400, 200, 200]


def test_trailers_change_no_request(port):
    """Not even one that a proxy has looked at: a trailer is no header."""
    trailer = b"0\r\nAccept: text/html\r\nOrigin: http://evil.example\r\nExpect: 100-continue\r\n\r\n"
    query = b"%7B%22box%22:%7B%22x0%22:4,%22y0%22:4,%22x1%22:12,%22y1%22:12%7D%7D"
    chunk = b"%x\r\n%b\r\n" % (len(encoded()), encoded())
    sent = CHUNKED.replace(b"/predict", b"/predict?prompt=" + query) + chunk + trailer + LAST
    assert statuses(send(port, sent)) == [200, 200]


def test_http_1_0(port):
    """No host is asked for, nothing comes before the answer, and the connection ends with it."""
    assert statuses(send(port, b"GET /health HTTP/1.0\r\n\r\n")) == [200]
    asked = b"POST /predict HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"
    assert statuses(send(port, asked)) == [400]
    assert statuses(send(port, asked.replace(b"1.0", b"1.1").replace(b"Exp", b"Host: localhost\r\nExp") + LAST)) == [
        100, 400, 200,
    ]  # fmt: skip


def test_head_is_answered_where_get_is(port):
    for path in (b"/", b"/health", b"/ready", b"/metrics", b"/openapi.json", b"/nothing"):
        answers = [
            send(port, get(b"Connection: close", start=method + b" " + path + b" HTTP/1.1"))
            for method in (b"HEAD", b"GET")
        ]
        heads = [answer.partition(b"\r\n\r\n")[0].split(b"\r\n") for answer in answers]
        assert heads[0][0] == heads[1][0]
        assert [line.partition(b":")[0] for line in heads[0]] == [line.partition(b":")[0] for line in heads[1]]
        assert answers[0].endswith(b"\r\n\r\n")
    assert send(port, get(start=b"HEAD /health HTTP/1.1", host=b"")).endswith(b"\r\n\r\n")  # also where it is refused


def test_options_name_the_methods(port):
    for path, methods in [(b"/predict", b"OPTIONS, POST"), (b"/health", b"GET, HEAD, OPTIONS"),
                          (b"*", b"GET, HEAD, OPTIONS, POST")]:  # fmt: skip
        answer = send(port, get(b"Connection: close", start=b"OPTIONS " + path + b" HTTP/1.1"))
        assert answer.startswith(b"HTTP/1.1 204 ")
        assert b"\r\nallow: " + methods + b"\r\n" in answer
    answer = send(port, get(b"Connection: close", start=b"DELETE /predict HTTP/1.1"))
    assert error_of(answer) == (405, "method_not_allowed")
    assert b"\r\nallow: OPTIONS, POST\r\n" in answer
    assert error_of(send(port, get(b"Connection: close", start=b"OPTIONS /no HTTP/1.1"))) == (404, "not_found")


def test_a_slash_at_the_end_makes_no_other_path(port):
    for start, status in [(b"POST /predict", 400), (b"POST /predict/", 400), (b"GET /health/", 200), (b"GET //", 404),
                          (b"GET /predict//", 404)]:  # fmt: skip
        answer = send(port, get(b"Connection: close", start=start + b" HTTP/1.1"))
        assert statuses(answer) == [status]
        assert (b"bad_image" in answer) == (status == 400)


def test_a_target_may_name_the_host(port):
    """Its host counts, not that of the header (RFC 9112, section 3.2.2)."""
    for target, status in [(b"http://localhost/health", 200), (b"HTTP://127.0.0.1:80?x", 200),
                           (b"http://evil.example/health", 403)]:  # fmt: skip
        answer = send(port, get(b"Connection: close", start=b"GET " + target + b" HTTP/1.1"))
        assert statuses(answer) == [status]
    answer = send(port, get(b"Connection: close", start=b"GET http://localhost/health HTTP/1.1", host=b"Host: evil"))
    assert statuses(answer) == [200]


def test_the_answer_reaches_a_client_that_goes_on_sending(port):
    """What is refused in its middle is not reset before its client has read why."""
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        for _ in range(8):
            connection.sendall(b"GET /health?" + b"x" * 100 * KIBI)
        assert error_of(read_answer(connection)) == (414, "uri_too_long")


@pytest.mark.slow("waits for the limit of ten seconds")
def test_a_head_that_stops_is_told(port):
    for before in (b"", LAST.replace(b"close", b"keep-alive")):
        answer = send(port, before + b"GET /health HTTP/1.1\r\nHost:")
        assert statuses(answer) == [200] * bool(before) + [408]
        assert error_of(answer) == (408, "request_timeout")


@pytest.mark.slow("waits for longer than the limit of ten seconds")
def test_an_empty_line_after_a_request_begins_no_head(port):
    """As old clients send it after a body: the connection is kept as long as any other."""
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        connection.sendall(GOOD + b"\r\n")
        time.sleep(11)
        connection.sendall(LAST)
        assert statuses(read_answer(connection)) == [200, 200]


def test_a_body_that_breaks_is_no_fault_of_the_server(port):
    """Whether somebody waits for it, or nobody wants it."""
    for path, status in [(b"/predict", 400), (b"/nothing", 404)]:
        head = CHUNKED.replace(b"/predict", path)
        with socket.create_connection(("127.0.0.1", port), 60) as connection:
            connection.sendall(head.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n") + b"3\r\nab")
            if status == 400:
                assert connection.recv(100).startswith(b"HTTP/1.1 100 ")  # so the body is waited for
                connection.sendall(b"cdXX\r\n")
            assert statuses(read_answer(connection)) == [status]
        answer = send(port, head + b"3\r\nab", b"cdXX\r\n")
        assert statuses(answer) == [status]
        error_of(answer)


def test_idle_connections_are_kept_as_long_as_is_said():
    server = HttpProcess("--keep_alive", "0.5")
    with server.connect() as connection:
        connection.sendall(GOOD)
        assert statuses(read_answer(connection)) == [200]  # and then the server closes it
    assert server.stop() == 0
    assert HttpConfig().keep_alive > 60  # load balancers let go of a connection after that
    assert list(HttpConfig(keep_alive=0).problems()) == ["--keep_alive: 0 is out of range; expected at least 0.001"]


def test_the_port_for_metrics_is_as_strict(ports):
    for sent, status in [(b"nonsense\r\n\r\n", 400), (get(host=b""), 400), (get(start=b"BREW / HTTP/1.1"), 501),
                         (get(host=b"Host: evil.example"), 403)]:  # fmt: skip
        answer = send(ports[1], GOOD * 2 + sent + LAST)
        assert statuses(answer)[:3] == [200, 200, status]
