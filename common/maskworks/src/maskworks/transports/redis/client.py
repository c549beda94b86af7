"""Clients of redis-py: for one server, for the master that Sentinels name, and for a cluster. Nothing is sent yet."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis import exceptions
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.connection import parse_url
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

from maskworks.config import RedisServerConfig
from maskworks.redis_url import Nodes
from maskworks.transports.redis.faults import REFUSED

_CONNECT_SECONDS = 5.0
_SENTINEL_SECONDS = 2.0  # of each, until the next one is asked
_READ_SIZE = 1 << 20


def connect(config: RedisServerConfig, seconds: float) -> Any:
    """A client without retries of its own.

    The URL's options come before all others. Methods of clients are typed for those that answer later, too.

    Args:
        config: where the server is.
        seconds: in which it has to answer.
    """
    settings: dict[str, Any] = {
        "socket_connect_timeout": _CONNECT_SECONDS,
        "socket_timeout": seconds,
        "socket_keepalive": True,
        "socket_read_size": _READ_SIZE,
    }
    if config.password is not None:
        settings["password"] = config.password
    nodes = config.redis_nodes
    if nodes is not None:
        settings |= _options(nodes.server)
        return Cluster(nodes, settings) if nodes.kind == "cluster" else _master(nodes, settings)
    settings["retry"] = _no_retry()
    if config.redis_url is not None:
        if config.redis_url.startswith("unix://"):
            del settings["socket_keepalive"]
        return redis.Redis.from_url(config.redis_url, **settings)
    return redis.Redis(host=config.redis_host, port=config.redis_port, db=config.redis_db, **settings)


def close(client: Any) -> None:
    """Closes the connections of a client, and those to Sentinels."""
    client.close()
    pool = None if isinstance(client, Cluster) else client.connection_pool
    if isinstance(pool, SentinelConnectionPool):
        sentinels: Any = pool.sentinel_manager
        sentinels.close()


def hang_up(client: Any) -> None:
    """Ends all connections of a client, those in use, too: commands that wait for an answer fail."""
    for pool in _pools(client):
        pool.disconnect(inuse_connections=True)


def _pools(client: Any) -> list[Any]:
    """Of all servers that a client knows so far."""
    if isinstance(client, Cluster):
        return client.pools()
    pool = client.connection_pool
    sentinels = pool.sentinel_manager.sentinels if isinstance(pool, SentinelConnectionPool) else ()
    return [pool, *(sentinel.connection_pool for sentinel in sentinels)]


def reconnect(client: Any) -> None:
    """Has a client look for its server anew, as one that has become a replica takes nothing any more."""
    if not isinstance(client, Cluster):
        client.connection_pool.disconnect(inuse_connections=False)


def subscribers_pool(client: Any) -> Any:
    """The pool of a server that subscriptions are made at. All nodes of a cluster pass on what is published."""
    return client.subscribers_pool() if isinstance(client, Cluster) else client.connection_pool


class Cluster:
    """A client of a cluster: it looks for its nodes as soon as it is used, as others connect then.

    Its errors that are no `redis.RedisError`, and those of slots that move, become those of a lost connection.
    """

    def __init__(self, nodes: Nodes, settings: dict[str, Any]) -> None:
        self._nodes, self._settings = nodes, settings
        self._lock = threading.Lock()
        self._client: _Client | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connected(), name)

    def close(self) -> None:
        if self._client is not None:
            self._client.close()

    @contextmanager
    def pipeline(self, transaction: bool) -> Iterator[Any]:
        client: Any = self._connected()
        with _cluster_errors(), client.pipeline(transaction=transaction) as pipeline:
            yield pipeline

    def pools(self) -> list[Any]:
        """Those of the nodes; none as long as there is no connection."""
        client: Any = self._client
        nodes = () if client is None else client.get_nodes()
        return [node.redis_connection.connection_pool for node in nodes if node.redis_connection is not None]

    def subscribers_pool(self) -> Any:
        client = self._connected()
        with _cluster_errors():
            client.nodes_manager.initialize()
            return client.get_redis_connection(client.get_random_primary_node()).connection_pool

    def _connected(self) -> _Client:
        with self._lock, _cluster_errors():
            if self._client is None:
                node: Any = ClusterNode
                nodes = [node(host, port) for host, port in self._nodes.addresses]
                settings = {name: value for name, value in self._settings.items() if name != "db"}
                self._client = _Client(startup_nodes=nodes, retry=_no_retry(), **settings)
            return self._client


class _Client(RedisCluster):
    def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        parent: Any = super()
        with _cluster_errors():
            return parent.execute_command(*args, **kwargs)


@contextmanager
def _cluster_errors() -> Iterator[None]:
    try:
        yield
    except exceptions.RedisClusterException as error:
        if isinstance(error.__cause__, REFUSED):
            raise error.__cause__ from None
        if "Cluster mode is not enabled" in str(error):
            raise exceptions.ResponseError(f"{error}; its URL is redis://HOST:PORT/DATABASE") from None
        raise exceptions.ConnectionError(str(error)) from None
    except (exceptions.AskError, exceptions.ClusterError) as error:  # a slot moves
        raise exceptions.ConnectionError(str(error)) from None


def _master(nodes: Nodes, settings: dict[str, Any]) -> redis.Redis:
    sentinel = {
        "socket_connect_timeout": _SENTINEL_SECONDS,
        "socket_timeout": _SENTINEL_SECONDS,
        "retry": _no_retry(),
        **_options(nodes.sentinel),
    }
    sentinel.pop("db", None)
    sentinels: Any = Sentinel
    master: redis.Redis = sentinels(nodes.addresses, sentinel_kwargs=sentinel).master_for(
        nodes.service, retry=_no_retry(), **settings
    )
    return master


def _options(url: str) -> dict[str, Any]:
    """What a URL says of each connection, but not where it goes to."""
    parse: Any = parse_url
    options: dict[str, Any] = parse(url)
    if "connection_class" in options:
        options["ssl"] = True
    return {name: value for name, value in options.items() if name not in ("host", "port", "connection_class")}


def _no_retry() -> Retry:
    return Retry(NoBackoff(), 0)
