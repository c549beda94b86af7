"""Several Redis servers that belong together: a master with replicas and Sentinels, and a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import redis

from tests.support.redis_process import RedisProcess, free_port
from tests.support.workplace import wait_until

SERVICE = "main"


class Sentinels:
    """A master, replicas of it, and three Sentinels that make one of them the master when it is gone.

    Args:
        folder: for their files.
        replicas: how many.
        password: of the Sentinels' own; None for none.
    """

    def __init__(self, folder: Path, replicas: int = 2, password: str | None = None) -> None:
        self.password = password
        self.servers = [started(folder / "server0")]
        for number in range(1, replicas + 1):
            self.servers.append(started(folder / f"server{number}", "--replicaof", f"127.0.0.1 {self.servers[0].port}"))
        self.sentinels = [self._sentinel(folder / f"sentinel{number}") for number in range(3)]
        asked = redis.Redis(port=self.sentinels[0].port, password=password)
        wait_until(lambda: ready(asked.sentinel_master(SERVICE), replicas), 60)
        asked.close()

    @property
    def url(self) -> str:
        """For `--redis_url`, without the Sentinels' password."""
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}/0"

    def master(self) -> RedisProcess:
        """The one that is it now."""
        for server in self.servers:
            if server.process is not None:
                client = server.client(socket_timeout=2)
                try:
                    if client.info("replication")["role"] == "master":
                        return server
                except redis.RedisError:
                    continue
                finally:
                    client.close()
        raise AssertionError("there is no master")

    def end_master(self) -> RedisProcess:
        """Stops the master, waits for another one, and gives that."""
        gone = self.master()
        gone.stop()
        wait_until(lambda: any(is_master(server) for server in self.servers), 60)
        return self.master()

    def stop(self) -> None:
        for server in [*self.sentinels, *self.servers]:
            server.stop()

    def _sentinel(self, folder: Path) -> RedisProcess:
        folder.mkdir()
        lines = [
            f"sentinel monitor {SERVICE} 127.0.0.1 {self.servers[0].port} 2",
            f"sentinel down-after-milliseconds {SERVICE} 2000",
            f"sentinel failover-timeout {SERVICE} 3000",
        ]
        if self.password is not None:
            lines += [f"requirepass {self.password}", f"sentinel sentinel-pass {self.password}"]
        (folder / "sentinel.conf").write_text("\n".join(lines) + "\n")
        return RedisProcess(folder, "--sentinel", config=folder / "sentinel.conf")


class RedisCluster:
    """Six nodes, three of them masters, each with a replica."""

    def __init__(self, folder: Path) -> None:
        self.nodes = [self._node(folder / f"node{number}") for number in range(6)]
        clients = [node.client() for node in self.nodes]
        for index, client in enumerate(clients):
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
        for index, client in enumerate(clients[:3]):
            first, last = 16384 * index // 3, 16384 * (index + 1) // 3 - 1
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
        for node in self.nodes[1:]:
            clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus_port)
        wait_until(lambda: all(len(client.cluster("NODES")) == 6 for client in clients), 60)
        names = [client.cluster("MYID").decode() for client in clients[:3]]
        for name, client in zip(names, clients[3:], strict=True):
            wait_until(lambda client=client, name=name: accepts(client, "CLUSTER", "REPLICATE", name), 60)
        wait_until(lambda: all(joined(client) for client in clients), 60)
        for client in clients:
            client.close()

    @property
    def url(self) -> str:
        """For `--redis_url`."""
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes[3:])

    def client(self) -> redis.RedisCluster:
        return redis.RedisCluster("127.0.0.1", next(node.port for node in self.nodes if node.process is not None))

    def owner(self, key: str) -> RedisProcess:
        """The node that keeps a key."""
        with self.client() as client:
            port = client.get_node_from_key(key).port
        return next(node for node in self.nodes if node.port == port)

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()

    def _node(self, folder: Path) -> RedisProcess:
        folder.mkdir()
        bus = free_port()
        flags = ["--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", "3000"]
        node = RedisProcess(folder, *flags, "--cluster-config-file", "nodes.conf")
        node.bus_port = bus
        return node


def started(folder: Path, *flags: str) -> RedisProcess:
    folder.mkdir()
    return RedisProcess(folder, *flags, "--repl-diskless-sync-delay", "0")


def ready(master: dict[str, object], replicas: int) -> bool:
    return master["num-slaves"] == replicas and master["num-other-sentinels"] == 2 and bool(master["is_master"])


def is_master(server: RedisProcess) -> bool:
    if server.process is None:
        return False
    client = server.client(socket_timeout=2)
    try:
        return client.info("replication")["role"] == "master"
    except redis.RedisError:
        return False
    finally:
        client.close()


def accepts(client: redis.Redis, *command: str) -> bool:
    try:
        client.execute_command(*command)
    except redis.ResponseError:
        return False
    return True


def joined(client: redis.Redis) -> bool:
    """Whether a node sees a whole cluster in which every master has a replica."""
    nodes: Sequence[dict[str, str]] = list(client.cluster("NODES").values())
    roles = [node["flags"] for node in nodes]
    whole = client.cluster("INFO")["cluster_state"] == "ok"
    linked = client.info("replication").get("master_link_status", "up") == "up"
    return whole and linked and sum("slave" in role for role in roles) == 3
