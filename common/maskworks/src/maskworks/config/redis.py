"""The settings of a Redis server and of the work on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from maskworks import redis_syntax
from maskworks.config.flag import Config, flag
from maskworks.config.worker import MEBIBYTE
from maskworks.redis_url import Nodes, nodes, url_problem, without_password


@dataclass(frozen=True, kw_only=True)
class RedisServerConfig(Config):
    """Where the server is."""

    redis_host: str = flag("HOST", "server to connect to", "localhost")
    redis_port: int = flag("PORT", "its port", 6379, kind=int)
    redis_db: int = flag("DB", "its database", 0, kind=int)
    redis_password: str | None = flag("PASSWORD", "password; visible to others on this machine, so better:", None)
    redis_password_env: str | None = flag("NAME", "environment variable with the password", None)
    redis_url: str | None = flag(
        "URL",
        "instead of host, port and database: redis://, rediss:// (TLS) or unix://, with users; "
        "redis+sentinel://HOST,HOST/SERVICE/DB; redis+cluster://HOST,HOST",
        None,
    )

    @property
    def password(self) -> str | None:
        """--redis_password, else what the environment variable named by --redis_password_env holds."""
        if self.redis_password is None and self.redis_password_env is not None:
            return os.environ.get(self.redis_password_env) or None  # empty where the server wants none
        return self.redis_password

    @property
    def server_name(self) -> str:
        """The server for messages, without its password."""
        if self.redis_url is None:
            return f"Redis at {self.redis_host}:{self.redis_port}"
        return f"Redis at {without_password(self.redis_url)}"

    @property
    def redis_nodes(self) -> Nodes | None:
        """Sentinels or a cluster; None if there is one server."""
        return None if self.redis_url is None else nodes(self.redis_url)

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if not redis_syntax.is_host(self.redis_host):
            yield f"--redis_host: {self.redis_host!a} is no name of a host"
        if not 0 < self.redis_port < 65536:
            yield f"--redis_port: {self.redis_port} is no port; expected 1 to 65535"
        if self.redis_password_env is not None and self.redis_password_env not in os.environ:
            name = self.redis_password_env
            yield f"--redis_password_env: the environment variable {name} is not set; put the password into it"
        problem = "" if self.redis_url is None else url_problem(self.redis_url)
        if problem:
            yield f"--redis_url: {problem}"


@dataclass(frozen=True, kw_only=True)
class RedisConfig(RedisServerConfig):
    """How work is taken from the server and answered. Times are seconds."""

    redis_in: str = flag("CHANNEL", "where requests come from; with pubsub a pattern")
    redis_out: str = flag("CHANNEL", "where results go")
    redis_err: str | None = flag("CHANNEL", "where errors go (default: OUT_errors)", None)
    redis_timeout: float = flag("S", "accepted from older command lines, without effect", 0.01, kind=float, least=0)
    redis_give_up: float | None = flag(
        "S", "seconds without server after which the command ends (default: never)", None, kind=float, least=0
    )
    redis_mode: str = flag(
        "pubsub|stream", "channels as of old, or streams for several workers that lose nothing", "pubsub",
        choices=("pubsub", "stream"),
    )  # fmt: skip
    redis_queue_bytes: int = flag(
        "N", "pubsub: most bytes of waiting requests; more are answered `overloaded`", 512 * MEBIBYTE, kind=int, least=1
    )
    redis_group: str = flag("NAME", "stream: consumer group; the workers of a group share the work", "maskworks")
    redis_consumer: str | None = flag(
        "NAME", "stream: this worker in the group (default: host, process and a number)", None
    )
    redis_claim_idle: float = flag(
        "S", "stream: seconds after which the work of a dead worker is taken over", 60.0, kind=float, least=0.1
    )
    redis_max_deliveries: int = flag(
        "N", "stream: tries after which a request goes to IN_dead with an error; the last is made alone, so with 1 "
        "those beside a deadly one are given up, too", 3, kind=int, least=1,
    )  # fmt: skip
    redis_maxlen: int = flag("N", "stream: about how many results are kept", 10_000, kind=int, least=1)

    @property
    def shares_a_slot(self) -> bool:
        """Whether requests and answers can change hands in one step in a cluster. Channels always can."""
        keys = (self.redis_in, self.dead_to, self.redis_out, self.errors_to)
        return self.redis_mode == "pubsub" or redis_syntax.share_a_slot(keys)

    @property
    def slot_problem(self) -> str:
        """What to say of names that do not share a slot of a cluster."""
        names = f"{self.redis_in}, {self.redis_out}, {self.errors_to}"
        return (
            f"--redis_in, --redis_out, --redis_err: in a cluster {names} have to share a hash slot; give all the same "
            f"{{hash tag}}, as in {{maskworks}}{self.redis_in}"
        )

    @property
    def dead_to(self) -> str:
        """Where requests go that ended several workers."""
        return f"{self.redis_in}_dead"

    @property
    def errors_to(self) -> str:
        """Where errors go: --redis_err, by default the name of the output with `_errors` behind it."""
        return self.redis_err or f"{self.redis_out}_errors"

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        for own, name in (("redis_out", self.redis_out), ("redis_err", self.errors_to)):
            if self._reads(name):
                yield f"--{own}: {name} is the input, too; choose another one, or answers become requests"
        if self.redis_url is not None and not url_problem(self.redis_url) and not self.shares_a_slot:
            found = self.redis_nodes
            if found is not None and found.kind == "cluster":
                yield self.slot_problem

    def _reads(self, name: str) -> bool:
        if self.redis_mode == "stream":
            return name == self.redis_in
        return redis_syntax.matches(self.redis_in, name)
