"""What a server is: whether it takes what workers write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis import exceptions

from maskworks.transports.redis.client import Cluster


@dataclass(frozen=True)
class Role:
    """What a server says of itself. Redis before 6 says nothing.

    Attributes:
        mode: `standalone`, `sentinel` or `cluster`.
        role: `master` or `replica`.
    """

    mode: str = "standalone"
    role: str = "master"

    @property
    def problem(self) -> str:
        """Why a worker on channels cannot answer everybody here; "" if it can."""
        if self.mode == "sentinel":
            return (
                "this is a Sentinel, which passes on no requests; use --redis_url redis+sentinel://HOST:PORT/SERVICE/DB"
            )
        if self.role != "master":
            return "this is a replica: what is published at it reaches none of those who listen at its master"
        return ""


def role(client: Any) -> Role:
    """Asks a server what it is; no rights are needed for that.

    Raises:
        redis.RedisError: it is away.
    """
    if isinstance(client, Cluster):  # it finds masters itself
        client.ping()
        return Role(mode="cluster")
    try:
        reply = client.execute_command("HELLO")
    except (exceptions.ConnectionError, exceptions.TimeoutError):
        raise
    except exceptions.ResponseError:
        return Role()
    if isinstance(reply, list):
        reply = dict(zip(reply[::2], reply[1::2], strict=True))
    said = {_text(key): _text(value) for key, value in reply.items()}
    return Role(said.get("mode", "standalone"), said.get("role", "master"))


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
