"""Whether the Redis server answers."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from maskworks.commands.doctor.finding import Finding
from maskworks.commands.extra import missing_extra
from maskworks.config import RedisServerConfig
from maskworks.errors import TransportError


def redis(config: RedisServerConfig) -> Iterator[Finding]:
    """One connection, with the user and password of the flags; without flags there need not be a server."""
    try:
        from redis.exceptions import ResponseError
    except ModuleNotFoundError as error:
        text = missing_extra("maskworks", error)
        if not text:
            raise
        yield Finding("redis", "note", f"{text} if a command is to use Redis")
        return

    from maskworks.transports.redis.role import role
    from maskworks.transports.redis.server import RedisServer

    server = RedisServer(config, threading.Event())
    try:
        server.check()
        with server.errors():
            place = role(server.client)
        if place.problem:
            yield Finding("redis role", "problem", f"{config.server_name}: {place.problem}")
        information = server.client.info()
    except ResponseError as error:  # INFO is not among the few commands that a worker's user needs
        yield Finding("redis", "ok", f"{config.server_name} answers, version unknown: {error}")
        return
    except TransportError as error:
        wanted = config != RedisServerConfig()
        text = error.message if wanted else f"{error.message.rstrip('.')}. Only the commands for Redis need a server."
        yield Finding("redis", "problem" if wanted else "note", text)
        return
    finally:
        server.close()
    yield Finding("redis", "ok", f"{config.server_name} answers, version {information['redis_version']}")
    policy = information.get("maxmemory_policy")
    if information.get("maxmemory") and policy != "noeviction":
        text = f"a full server drops requests (maxmemory-policy {policy}); set it to noeviction"
        yield Finding("redis memory", "note", text)
