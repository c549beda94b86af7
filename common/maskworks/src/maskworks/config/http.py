"""The settings of an HTTP server."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass

from maskworks.config.flag import Config, flag
from maskworks.config.origin import ANY_ORIGIN, read_origin
from maskworks.config.worker import MEBIBYTE

MOST_CONNECTIONS = 10_000
_SPARE_FILES = 256  # open files beside the connections: libraries, images, connections that are being refused


@dataclass(frozen=True, kw_only=True)
class HttpConfig(Config):
    """Where requests are listened for, and how many are kept at a time. Times are seconds.

    `max_waiting` counts requests that arrived in full and are not answered, `queue_bytes` all bodies in memory.
    """

    host: str = flag("HOST", "address to listen at; 0.0.0.0 for all of IPv4, :: for all", "localhost")
    port: int = flag("PORT", "port to listen at; 0 for any free one", 8888, kind=int)
    request_timeout: float = flag(
        "S", "seconds after which a request that has no answer gets an error", 60.0, kind=float, least=0.001
    )
    max_waiting: int = flag(
        "N", "most requests to hold at a time; more are answered `overloaded`", 256, kind=int, least=1
    )
    queue_bytes: int = flag(
        "N", "most bytes of requests to hold at a time; more are answered `overloaded`", 512 * MEBIBYTE, kind=int,
        least=1,
    )  # fmt: skip
    max_connections: int | None = flag(
        "N", "most connections at a time, more are answered `overloaded` "
        f"(default: what the limit on open files allows, at most {MOST_CONNECTIONS})", None, kind=int, least=1,
    )  # fmt: skip
    keep_alive: float = flag(
        "S", "seconds that a connection is kept between requests; more than the load balancer before it keeps it", 75.0,
        kind=float, least=0.001,
    )  # fmt: skip
    cors: tuple[str, ...] = flag(
        "ORIGIN", "web pages of this origin (https://app.example) may use the server, or of any (*); several with "
        "commas, or the flag once for each", (), several=True,
    )  # fmt: skip
    token_env: str | None = flag("NAME", "environment variable with a token that requests have to show", None)

    @property
    def most_connections(self) -> int:
        """How many connections may be open at a time."""
        return min(_connections_for_files(), MOST_CONNECTIONS) if self.max_connections is None else self.max_connections

    @property
    def origins(self) -> frozenset[str]:
        """The origins of --cors as browsers write them, or `*`."""
        return frozenset(read_origin(origin) or origin for origin in self.cors)

    @property
    def token(self) -> str | None:
        """What the environment variable named by --token_env holds; None if requests need no token."""
        return None if self.token_env is None else os.environ.get(self.token_env)

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if not 0 <= self.port < 65536:
            yield f"--port: {self.port} is no port; expected 1 to 65535, or 0 for any free one"
        for origin in self.cors:
            if origin != ANY_ORIGIN and read_origin(origin) is None:
                yield (
                    f"--cors: {origin}: no origin; expected one as https://app.example or http://localhost:3000, "
                    "without a path, or * for any"
                )
        if self.token_env is not None and not self.token:
            yield f"--token_env: the environment variable {self.token_env} is not set or empty; put the token into it"
        most, allowed = self.max_connections, _allowed_files()
        if most is not None and allowed is not None and most > _connections_for_files():
            yield (
                f"--max_connections: {most} is more than the limit on open files allows, which is {allowed}; "
                f"expected at most {_connections_for_files()}, or raise the limit (ulimit -n)"
            )


def _allowed_files() -> int | None:
    """How many files this process may have open; None if there is no limit."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if allowed == resource.RLIM_INFINITY else allowed


def _connections_for_files() -> int:
    """The most connections that leave files for the rest."""
    allowed = _allowed_files()
    return MOST_CONNECTIONS if allowed is None else max(allowed // 2, allowed - _SPARE_FILES, 1)
