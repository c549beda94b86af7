"""The HTTP server: uvicorn in a thread of its own, beside the thread of the model."""

from __future__ import annotations

import asyncio
import math
import socket
import threading
from functools import partial
from types import TracebackType

import uvicorn
from starlette.types import ASGIApp

from maskworks.config import HttpConfig
from maskworks.errors import ConfigError, TransportError
from maskworks.transports.http.connection import BoundedConnection
from maskworks.transports.http.transport import HttpTransport

_BACKLOG = 1024  # connections that wait to be taken
_KEEP_ALIVE = 20  # seconds that an idle connection is kept
_SPARE_SECONDS = 3.0  # on top of the time limit of requests, before connections are cut


class HttpServer:
    """Serves an application between enter and exit, on an address that is taken at once.

    Once `stop` is set, it takes no more connections, answers what it has, ends, and tells the transport so.

    Args:
        app: what to serve.
        transport: told when no more requests will come.
        config: the address and the time limit.
        stop: asks it to end.

    Raises:
        ConfigError: the address cannot be used.
    """

    def __init__(self, app: ASGIApp, transport: HttpTransport, config: HttpConfig, stop: threading.Event) -> None:
        self._socket = _listen(config)
        self._transport = transport
        settings = uvicorn.Config(
            app,
            http=partial(BoundedConnection, read_seconds=config.request_timeout),  # type: ignore[arg-type]
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=math.ceil(config.request_timeout + _SPARE_SECONDS),
        )
        self._server = _Stoppable(settings, stop)
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def check(self) -> None:
        """Raises TransportError if it does not run."""
        if not self._thread.is_alive():
            raise TransportError("the HTTP server has ended; see the log")

    def __enter__(self) -> HttpServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._transport.finish()


class _Stoppable(uvicorn.Server):
    """Ends when an event is set; signals are caught elsewhere."""

    def __init__(self, config: uvicorn.Config, stop: threading.Event) -> None:
        super().__init__(config)
        self._stop = stop

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self._stop.is_set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answers also those who were connected or have sent a request, but of whom this thread has not heard yet."""
        self.server_state.default_headers.append((b"connection", b"close"))  # of every answer to a later request
        for _ in range(2):  # turns of the event loop, in which it accepts the connections that the kernel has made
            await asyncio.sleep(0)
        await super().shutdown(sockets)


def _listen(config: HttpConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    # asyncio sends answers without delay only on sockets that say that they are TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, config.host != "::")
        listener.bind((config.host, config.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        reason = error.strerror or str(error)
        raise ConfigError([f"--host, --port: {config.host}:{config.port}: {reason}; choose others"]) from None
    return listener
