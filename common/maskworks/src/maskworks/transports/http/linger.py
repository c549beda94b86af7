"""Refusals that the client gets to see.

A client that is still sending when the connection is closed gets a reset, and with it loses the answer. So after an
answer that came before the end of the body, what still arrives is read for a while and thrown away.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LONGEST = 2.0  # seconds


class Linger:
    """An application around another one, which may answer without having read the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        unread = b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
        is_sent = b"expect" not in headers  # else the client sends its body only once somebody wants to read it

        async def counted_receive() -> Message:
            nonlocal unread, is_sent
            is_sent = True
            message = await receive()
            unread = unread and message.get("more_body", False)
            return message

        async def lingering_send(message: Message) -> None:
            if unread and message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            if unread and is_sent and message["type"] == "http.response.body" and not message.get("more_body", False):
                await send({**message, "more_body": True})
                message = {"type": "http.response.body"}
                await throw_away()
            await send(message)

        async def throw_away() -> None:
            deadline = time.monotonic() + _LONGEST
            with contextlib.suppress(asyncio.TimeoutError):
                while unread:
                    await asyncio.wait_for(counted_receive(), max(0.0, deadline - time.monotonic()))

        await self._app(scope, counted_receive, lingering_send)
