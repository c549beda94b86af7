"""The server of `--metrics_port`: bounded as that of images is, but for a few clients."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from http import HTTPStatus

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from maskworks.config import HttpConfig
from maskworks.transports.http.guard import Guard
from maskworks.transports.http.server import HttpServer

_MOST_CONNECTIONS = 64
_SECONDS = 10.0


def metrics_server(host: str, port: int, registry: CollectorRegistry) -> HttpServer:
    """Answers any request with the metrics of a registry, between enter and exit.

    Raises:
        ConfigError: the address cannot be used.
    """
    config = HttpConfig(host=host, port=port, request_timeout=_SECONDS, max_connections=_MOST_CONNECTIONS)
    return HttpServer(
        Guard(_Metrics(registry), config), None, config, threading.Event(), flags="--metrics_host, --metrics_port"
    )


class _Metrics:
    """The application. One thread at a time asks for the values, as a Redis server may not answer when it is asked."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._text: asyncio.Future[bytes | None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._text is None or self._text.done():
            self._text = asyncio.get_running_loop().create_future()
            threading.Thread(target=self._collect, args=(self._text,), name="metrics", daemon=True).start()
        await asyncio.wait((self._text,), timeout=_SECONDS)
        text = self._text.result() if self._text.done() else None
        if text is None:
            response = Response("the values could not be had", HTTPStatus.SERVICE_UNAVAILABLE, media_type="text/plain")
        else:
            response = Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})
        await response(scope, receive, send)

    def _collect(self, result: asyncio.Future[bytes | None]) -> None:
        text = None
        try:
            text = generate_latest(self._registry)
        finally:
            with suppress(RuntimeError):  # the server has ended
                result.get_loop().call_soon_threadsafe(result.set_result, text)
