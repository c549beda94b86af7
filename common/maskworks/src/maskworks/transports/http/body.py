"""Reading the body of a request, and not more of it than allowed."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from maskworks.errors import HttpError, ImageTooLarge, SlowUpload
from maskworks.transports.http.admission import Share
from maskworks.transports.http.content_encoding import Plain, decoding_of

_DRAIN_SECONDS = 2.0


async def read_body(request: Request, most_bytes: int, seconds: float, share: Share) -> bytes:
    """The whole body, inflated if it is compressed.

    Args:
        request: of which nothing was read.
        most_bytes: the limit on the body and what it inflates to; one that declares more is refused before it is read.
        seconds: how long it may take.
        share: counts the bytes as they arrive, inflated.

    Raises:
        ImageTooLarge: it is beyond the limit.
        SlowUpload: it is not there in time.
        Overloaded: there is no room for it.
        HttpError: it is compressed in a way that is not read here, or broken.
        ClientDisconnect: the client is gone.
    """
    _check(int(request.headers.get("content-length", 0)), most_bytes)
    decoding = decoding_of(", ".join(request.headers.getlist("content-encoding")))
    try:
        return await asyncio.wait_for(_read(request, decoding, most_bytes, share), seconds)
    except TimeoutError:
        arrived = f"{share.bytes} bytes arrived in {seconds:g} s"
        raise SlowUpload(f"body: {arrived}; expected all of it by then (--request_timeout)") from None


async def drain(request: Request) -> bool:
    """Discards the rest of a body for up to two seconds; True if there is no more of it.

    A client that is still sending when the connection closes gets a reset, and with it loses the answer. One that waits
    for `100 Continue` is not sending: reading would only ask it to.
    """
    headers = request.headers
    if "transfer-encoding" not in headers and headers.get("content-length", "0") == "0":
        return True
    if "expect" in headers:
        return False
    try:
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for _ in request.stream():
                pass
    except (TimeoutError, HttpError):  # it goes on, or nobody can say where it ends
        return False
    except (ClientDisconnect, RuntimeError):  # it has gone, or the whole body was read before
        pass
    return True


async def gone(request: Request) -> None:
    """Returns when the client of a request, whose body was read, has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _read(request: Request, decoding: Plain, most_bytes: int, share: Share) -> bytes:
    chunks = []
    async for chunk in request.stream():
        for piece in decoding.pieces(chunk):
            _check(share.bytes + len(piece), most_bytes)
            share.add(len(piece))
            chunks.append(piece)
            if piece is not chunk:
                await asyncio.sleep(0)  # others' turn: a small chunk may inflate to many pieces
    decoding.finish()
    return b"".join(chunks)


def _check(size: int, most_bytes: int) -> None:
    if size > most_bytes:
        raise ImageTooLarge(f"body: {size} bytes; expected at most {most_bytes}, which follows from --max_bytes")
