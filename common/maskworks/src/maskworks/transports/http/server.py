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
from maskworks.errors import ConfigError, TransportError, reason_of
from maskworks.transports.http.acceptor import Acceptor
from maskworks.transports.http.connection import BoundedConnection
from maskworks.transports.http.listener import listen
from maskworks.transports.http.transport import HttpTransport

_SPARE_SECONDS = 3.0  # on top of the time limit of requests, before connections are cut
_READ_SECONDS = 0.05  # for what was sent before the stop to be read
_GRACE_SECONDS = 0.5  # in which those who come are told that the server stops


class HttpServer:
    """Serves an application between enter and exit, on an address that is taken at once.

    Once `stop` is set, it takes no more connections, answers what it has, ends, and tells the transport so.

    Args:
        app: what to serve.
        transport: told when no more requests will come; None if there is none to tell.
        config: the address and the limits.
        stop: asks it to end.
        flags: which set the address, for the error.

    Raises:
        ConfigError: the address cannot be used.
    """

    def __init__(
        self,
        app: ASGIApp,
        transport: HttpTransport | None,
        config: HttpConfig,
        stop: threading.Event,
        *,
        flags: str = "--host, --port",
    ) -> None:
        try:
            self._socket = listen(config.host, config.port)
        except OSError as error:
            raise ConfigError([f"{flags}: {config.host}:{config.port}: {reason_of(error)}; choose others"]) from None
        self._transport = transport
        draining = threading.Event() if transport is None else transport.draining
        settings = uvicorn.Config(
            app,
            http="httptools",
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=config.keep_alive,  # type: ignore[arg-type]  # fractions do
            timeout_graceful_shutdown=math.ceil(config.request_timeout + _SPARE_SECONDS),
        )
        self._server = _Stoppable(settings, config, self._socket, stop, draining)
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
            self._server.run()
        finally:
            if self._transport is not None:
                self._transport.finish()


class _Stoppable(uvicorn.Server):
    """Ends when an event is set, without losing a request; signals are caught elsewhere.

    Args:
        settings: uvicorn's.
        limits: on connections.
        listener: where connections come from.
        stop: asks it to end.
        draining: set here, once requests that come are to be refused.
    """

    def __init__(
        self,
        settings: uvicorn.Config,
        limits: HttpConfig,
        listener: socket.socket,
        stop: threading.Event,
        draining: threading.Event,
    ) -> None:
        super().__init__(settings)
        self._limits, self._listener, self._stop, self._draining = limits, listener, stop, draining

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        make = partial(
            BoundedConnection,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
            read_seconds=self._limits.request_timeout,
            draining=self._draining,
        )
        self._acceptor = Acceptor(self._listener, make, self._limits.most_connections)

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or self._stop.is_set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answers what has come, then refuses what still comes for a moment, then listens no more, then ends.

        Closing a socket resets what has been sent to it and not read, so nothing is closed that could hold a request.
        """
        await self._acceptor.take_waiting()
        await asyncio.sleep(_READ_SECONDS)
        self._draining.set()
        for connection in tuple(self.server_state.connections):
            connection.shutdown()
        await asyncio.sleep(_GRACE_SECONDS)
        await self._acceptor.close()
        await super().shutdown(sockets)
