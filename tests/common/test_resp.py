from __future__ import annotations

import os
import random
import socket
import threading

import pytest
from redis import exceptions

from maskworks.transports.redis.resp import RespReader


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def bulk(data):
    return b"$%d\r\n%s\r\n" % (len(data), data)


def message(data):
    return b"*4\r\n" + b"".join(map(bulk, (b"pmessage", b"in*", b"in", data)))


def sent(theirs, text, pieces=1):
    """Sends a text from another thread, in pieces of random sizes."""
    cuts = sorted(random.Random(0).sample(range(len(text) + 1), pieces - 1))

    def send():
        for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
            theirs.sendall(text[begin:end])

    thread = threading.Thread(target=send)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"+OK\r\n", b"OK"),
        (b":-12\r\n", -12),
        (b"$-1\r\n", None),
        (b"$0\r\n\r\n", b""),
        (b"$4\r\n\r\n\r\n\r\n", b"\r\n\r\n"),
        (b"*0\r\n", []),
        (b">2\r\n:1\r\n*1\r\n$1\r\nx\r\n", [1, [b"x"]]),
    ],
)
def test_every_kind_of_value_is_read(pair, text, value):
    ours, theirs = pair
    theirs.sendall(text)
    assert RespReader(ours).read() == value


@pytest.mark.parametrize("pieces", [1, 7, 400])
def test_messages_of_all_sizes_in_pieces_of_all_sizes(pair, pieces):
    ours, theirs = pair
    bodies = [os.urandom(size) for size in (0, 1, 65_530, 65_536, 70_000, 3_000_000, 5, 1_300_000)]
    sender = sent(theirs, b"".join(map(message, bodies)), pieces)
    reader = RespReader(ours)
    assert [reader.read()[-1] for _ in bodies] == bodies
    sender.join()
    assert not reader.arrives(0)


def test_small_messages_that_came_together_need_no_waiting(pair):
    ours, theirs = pair
    theirs.sendall(message(b"one") + message(b"two"))
    reader = RespReader(ours)
    assert reader.arrives(1)
    assert reader.read()[-1] == b"one"
    assert reader.arrives(0)
    assert reader.read()[-1] == b"two"
    assert not reader.arrives(0)


def test_errors_of_the_server(pair):
    ours, theirs = pair
    theirs.sendall(b"-NOPERM no\r\n-ERR other\r\n")
    reader = RespReader(ours)
    with pytest.raises(exceptions.NoPermissionError, match="NOPERM no"):
        reader.read()
    with pytest.raises(exceptions.ResponseError, match="ERR other"):
        reader.read()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ERR max number of clients reached", exceptions.ConnectionError),
        ("LOADING Redis is loading the dataset in memory", exceptions.BusyLoadingError),
        ("NOAUTH Authentication required.", exceptions.AuthenticationError),
        ("BUSY Redis is busy running a script.", exceptions.ResponseError),
    ],
)
def test_errors_are_of_the_class_that_redis_py_has_for_them(pair, text, kind):
    ours, theirs = pair
    theirs.sendall(f"-{text}\r\n".encode())
    with pytest.raises(kind) as caught:
        RespReader(ours).read()
    assert str(caught.value) == text


@pytest.mark.parametrize("text", [
        b"HTTP/1.1 400\r\n", b"*x\r\n", b"$3\r\nabcdef\r\n", b"x" * 70_000,
        b"$99999999999999\r\nx", b"*1\r\n" * 5000,
    ],
)  # fmt: skip
def test_something_else_than_redis(pair, text):
    ours, theirs = pair
    theirs.sendall(text)
    with pytest.raises(exceptions.ConnectionError, match="not its protocol"):
        RespReader(ours).read()


@pytest.mark.parametrize("text", [b"", b"*4\r\n$8", message(b"12345")[:-4]])
def test_a_server_that_goes_away_in_the_middle(pair, text):
    ours, theirs = pair
    theirs.sendall(text)
    theirs.close()
    with pytest.raises(exceptions.ConnectionError, match="closed"):
        RespReader(ours).read()


def test_a_server_that_stalls_in_the_middle(pair):
    ours, theirs = pair
    theirs.sendall(message(b"12345")[:-4])
    with pytest.raises(exceptions.ConnectionError, match="lost"):
        RespReader(ours, patience=0.2).read()
