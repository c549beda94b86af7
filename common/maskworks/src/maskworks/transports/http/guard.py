"""Stands before the application: what is no HTTP is told so, and web pages of elsewhere are kept out or let in."""

from __future__ import annotations

import logging
import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from maskworks.config import ANY_ORIGIN, HttpConfig
from maskworks.errors import HttpError, RequestError
from maskworks.transports.http.media import JSON
from maskworks.transports.http.origins import Origins, is_loopback
from maskworks.transports.http.sparing import Sparing
from maskworks.wire.reply import encode_error

log = logging.getLogger(__name__)

REFUSAL = "maskworks.refusal"  # the extension of a scope with the error that is to be answered
METHODS = "GET, HEAD, OPTIONS, POST"
_PREFLIGHT_SECONDS = "600"  # for which a browser need not ask again

Answer = Callable[[Request, RequestError], Awaitable[Response]]


async def answer_error(request: Request, error: RequestError) -> Response:
    """The answer to a request that is not served."""
    return Response(encode_error(error), error.status, {"Content-Type": JSON})


class Guard:
    """An application that passes to another one what is HTTP and comes from where it may (RFC 6454, CORS).

    Args:
        app: the other one.
        config: where it listens, and which origins are allowed.
        answer: makes the answer to a request that is not passed on.
    """

    def __init__(self, app: ASGIApp, config: HttpConfig, answer: Answer = answer_error) -> None:
        self._app, self._answer = app, answer
        names = frozenset((config.host.lower(),)) if _listens_to_itself(config.host) else None
        self._origins = Origins(config.origins, names)
        self._refusals = Sparing(log)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await self._response(request)
        send = self._sharing(request, send)
        await (response or self._app)(scope, receive, send)

    async def _response(self, request: Request) -> Response | None:
        """The answer to a request that is not for the application."""
        try:
            if REFUSAL in request.scope.get("extensions", {}):
                raise request.scope["extensions"][REFUSAL]["reason"]
            self._origins.check(request.method, request.headers)
        except HttpError as error:
            client = "" if request.client is None else f"{request.client.host}: "
            self._refusals.warn(f"{client}{error.status} {error.code}: {error.message}")
            return await self._answer(request, error)
        if request.method == "OPTIONS" and self._origins.allows(request.headers.get("origin")):
            return Response(status_code=204, headers=_preflight(request))
        if request.scope["path"] == "*":
            return Response(status_code=204, headers={"Allow": METHODS})
        return None

    def _sharing(self, request: Request, send: Send) -> Send:
        """Tells the browser that the page may read the answer, if it may."""
        if not self._origins.allowed:
            return send
        origin = request.headers.get("origin")

        async def share(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if ANY_ORIGIN in self._origins.allowed:
                    headers["Access-Control-Allow-Origin"] = ANY_ORIGIN
                else:
                    headers.add_vary_header("Origin")
                    if origin is not None and self._origins.allows(origin):
                        headers["Access-Control-Allow-Origin"] = origin
                headers["Access-Control-Expose-Headers"] = "Retry-After"
            await send(message)

        return share


def _preflight(request: Request) -> dict[str, str]:
    """What a page may ask for: the token is what protects a server, no choice of headers is."""
    headers: dict[str, Any] = {
        "Allow": METHODS,
        "Access-Control-Allow-Methods": METHODS,
        "Access-Control-Max-Age": _PREFLIGHT_SECONDS,
        "Vary": "Access-Control-Request-Headers",
    }
    wanted = request.headers.get("access-control-request-headers")
    if wanted:
        headers["Access-Control-Allow-Headers"] = wanted
    if request.headers.get("access-control-request-private-network") == "true":
        headers["Access-Control-Allow-Private-Network"] = "true"
    return headers


def _listens_to_itself(host: str) -> bool:
    """Whether a server at this host is reached from its own machine only."""
    try:
        return is_loopback(host) or ip_address(socket.gethostbyname(host)).is_loopback
    except OSError:
        return False  # listening says what is wrong with it
