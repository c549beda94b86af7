"""Clients that misbehave: the server goes on, and everybody else gets the right answer."""

from __future__ import annotations

import random
import socket
import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.support.http_process import HttpProcess, check_headers_are_cut_off, form, metric, pixels, read_answer
from tests.support.samples import PROMPT, encoded, picture
from tests.support.workplace import wait_until

pytestmark = pytest.mark.slow("starts processes")

QUERY = '?prompt={"points":[[8,4],[4,8],[12,8],[8,12]]}'.replace('"', "%22")


@pytest.fixture(scope="module")
def server():
    process = HttpProcess("--batch_size", "4", "--request_timeout", "3", "--max_bytes", "200000")
    yield process
    assert process.stop() == 0, process.said
    assert not [line for line in process.said if "ASGI" in line or "asyncio" in line]


@pytest.fixture(autouse=True)
def still_works(server):
    yield
    with server.client() as client:
        mask = client.post("/predict", files=form(), headers={"Accept": "image/png"})
    assert pixels(mask.content).sum() == 81


def head(length: object, *lines: str) -> bytes:
    return "\r\n".join(
        [f"POST /predict{QUERY} HTTP/1.1", "Host: localhost", f"Content-Length: {length}", *lines, "", ""]
    ).encode()


def test_ten_gigabytes_are_refused_before_they_are_sent(server):
    with server.connect() as connection:
        connection.sendall(head(10 * 2**30) + b"x" * 1000)
        start = time.monotonic()
        answer = read_answer(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"image_too_large" in answer
    assert time.monotonic() - start < 20


def test_a_client_that_asks_first_is_told_no(server):
    with server.connect() as connection:
        connection.sendall(head(10 * 2**30, "Expect: 100-continue"))
        answer = read_answer(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_who_sends_too_much_anyway_still_sees_the_answer(server):
    """The answer arrives although the client is in the middle of sending, with or without a declared length."""
    body = b"x" * 5_000_000

    def chunks():
        for start in range(0, len(body), 100_000):
            yield body[start : start + 100_000]

    with server.client() as client:
        for content in (body, chunks()):
            answer = client.post("/predict", content=content)
            assert (answer.status_code, answer.json()["error"]["code"]) == (413, "image_too_large")


def test_an_image_with_too_many_pixels_is_not_decoded(server):
    start = encoded()[:8]
    header = b"IHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    huge = start + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + encoded()[33:]
    with server.client() as client:
        answer = client.post("/predict", files=form(huge))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "image_too_large")
    assert "100000x100000" in answer.text


def test_a_slow_sender_is_told_and_takes_no_ones_place(server):
    with server.connect() as slow, server.client() as client:
        slow.sendall(head(1000) + b"x")
        start = time.monotonic()
        while time.monotonic() - start < 2:
            slow.sendall(b"x")
            assert client.post("/predict", files=form()).status_code == 200
            time.sleep(0.2)  # it is slow, but never silent
        answer = read_answer(slow)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"slow_upload" in answer


def test_headers_that_never_end_are_cut_off(server):
    with server.connect() as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\n")
        check_headers_are_cut_off(connection, 100_000)


@pytest.mark.slow("waits for the limit of ten seconds")
def test_headers_that_come_too_slowly_are_cut_off(server):
    with server.connect() as connection:
        connection.sendall(b"POST /predict HTTP/1.1\r\n")
        start = time.monotonic()
        with pytest.raises(OSError, match=r"reset|Broken pipe"):  # noqa: PT012 - whichever call sees it first
            while time.monotonic() - start < 40:
                connection.sendall(b"X: y\r\n")
                time.sleep(0.5)  # it is slow, but never silent
    assert 5 < time.monotonic() - start < 30


def test_what_is_not_http_is_refused(server):
    with server.connect() as connection:
        connection.sendall(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
        assert read_answer(connection).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("sent", [b"", head(1000)[:20], head(1000), head(1000) + b"x" * 10])
def test_clients_that_leave_early(server, sent):
    for _ in range(5):
        connection = server.connect()
        connection.sendall(sent)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # leave with a reset
        connection.close()


def test_bodies_of_unknown_length_are_fine(server):
    with server.client() as client:
        answer = client.post(f"/predict{QUERY}", content=iter([encoded()[:50], encoded()[50:]]))
    assert answer.status_code == 200


def test_two_requests_sent_at_once_on_one_connection(server):
    body = encoded()
    with server.connect() as connection:
        connection.sendall((head(len(body)) + body) * 2 + head(0, "Connection: close"))
        answer = read_answer(connection)
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert answer.count(b"HTTP/1.1 400 ") == 1


def test_good_and_bad_requests_at_once(server):
    """Of 200 requests at once each gets the answer that it gets alone."""
    good = [
        (encoded(picture(255, (20 + index % 40, 16))), PROMPT.replace(b"}", b', "label": %d}' % (1 + index % 60)))
        for index in range(100)
    ]
    bad = [
        ({"content": b"nothing"}, 400, "bad_image"),
        ({"files": form(prompt=b"{")}, 400, "bad_json"),
        ({"files": form(prompt=b'{"points": 5}')}, 400, "bad_prompt"),
        ({"files": form(prompt=b'{"box":{"x0":1,"y0":1,"x1":9,"y1":9},"label":66}')}, 500, "internal"),
        ({"files": form(), "headers": {"Accept": "text/html"}}, 406, "not_acceptable"),
        ({"content": b"x" * 300_000}, 413, "image_too_large"),
    ]
    work: list = [("good", index) for index in range(100)] + [("bad", index % len(bad)) for index in range(100)]
    random.Random(7).shuffle(work)

    def send(item):
        kind, index = item
        if kind == "good":
            image, prompt = good[index]
            return item, client.post("/predict", files=form(image, prompt), headers={"Accept": "image/png"})
        keys = dict(bad[index][0])
        return item, client.post(f"/predict{QUERY}" if "content" in keys else "/predict", **keys)

    with server.client(limits=httpx.Limits(max_connections=100)) as client, ThreadPoolExecutor(100) as pool:
        for (kind, index), answer in pool.map(send, work):
            if kind == "good":
                assert answer.status_code == 200, answer.text
                mask = pixels(answer.content)
                assert (mask.shape, mask.max()) == ((16, 20 + index % 40), 1 + index % 60)
            else:
                _, status, code = bad[index]
                assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.slow("starts processes")
def test_nobody_works_for_a_client_that_has_gone():
    server = HttpProcess(seconds=0.5)
    sent = head(len(encoded())) + encoded()
    with server.connect() as first:
        first.sendall(sent)
        others = [server.connect() for _ in range(20)]
        for connection in others:
            connection.sendall(sent)
        wait_until(
            lambda: metric(server, "maskworks_waiting_requests") + metric(server, "maskworks_requests_in_flight") >= 20
        )
        for connection in others:
            connection.close()
        wait_until(lambda: metric(server, 'maskworks_http_answers_total{status="499"}') > 0)
        with server.client() as client:
            assert client.post("/predict", files=form()).status_code == 200
        assert metric(server, "maskworks_results_total") < 15
    assert server.stop() == 0
