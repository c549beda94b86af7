"""The settings of an HTTP server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from maskworks.config.flag import Config, flag
from maskworks.config.worker import MEBIBYTE


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
    token_env: str | None = flag("NAME", "environment variable with a token that requests have to show", None)

    @property
    def token(self) -> str | None:
        """What the environment variable named by --token_env holds; None if requests need no token."""
        return None if self.token_env is None else os.environ.get(self.token_env)

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if not 0 <= self.port < 65536:
            yield f"--port: {self.port} is no port; expected 1 to 65535, or 0 for any free one"
        if self.token_env is not None and not self.token:
            yield f"--token_env: the environment variable {self.token_env} is not set or empty; put the token into it"
