"""What clients read: answers of workers, and the protocol of Redis."""

from __future__ import annotations

import contextlib
import io
import socket
from collections.abc import Iterable

from redis import exceptions

from fuzz.requests import PIPELINE, Messages, messages
from fuzz.target import Target
from maskworks.commands import redis_clients as clients
from maskworks.errors import BadImage, MaskworksError
from maskworks.transports.redis.resp import RespReader
from maskworks.types import Job
from maskworks.wire.reply import encode_error


def answers() -> Iterable[bytes]:
    """Replies and OPEX for each kind of prompt, an error, and a reply of older workers."""
    for message in list(messages())[:8]:
        (outcome,) = PIPELINE.run([Job("1", message, format=Messages())])
        yield from (outcome.parts[kind] for kind in ("reply", "opex"))
    yield encode_error(BadImage("no image"), "mine")
    yield b'{"mask": "", "contours": [[[1, 2], [3, 4], [5, 6]]]}'


def run_answer(data: bytes) -> None:
    """The test client makes files of it, or says in an error of ours what is wrong."""
    with contextlib.suppress(MaskworksError), contextlib.redirect_stderr(io.StringIO()):
        files = clients._files(data, "answer", None)
        assert all(isinstance(content, bytes) for content in files.values())


def protocol() -> Iterable[bytes]:
    """Values of all kinds, one after the other."""
    yield b"+OK\r\n:12\r\n$-1\r\n$3\r\nabc\r\n*2\r\n:1\r\n$0\r\n\r\n"
    yield b"*4\r\n$8\r\npmessage\r\n$3\r\nin*\r\n$2\r\nin\r\n$5\r\nhello\r\n>1\r\n*0\r\n"
    yield b"-NOPERM no\r\n-ERR other\r\n+\r\n"


def run_redis(data: bytes) -> None:
    """Values come out until the connection ends; what is not the protocol is a lost connection."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        reader = RespReader(ours, patience=1)
        while True:
            try:
                reader.read()
            except exceptions.ResponseError:
                continue
            except exceptions.ConnectionError:
                return


ANSWER = Target(run_answer, answers)
REDIS = Target(run_redis, protocol, longest=2048)
