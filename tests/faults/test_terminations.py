"""A server that is stopped while clients ask without a pause: each request that could be sent gets an answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.support import forked_server
from tests.support.samples import encoded
from tests.support.stubborn_clients import StubbornClients
from tests.support.workplace import wait_until

# Most send again at once, on the same connection or on a new one; some think a little.
PAUSES = (0.0, 0.0, 0.0, 0.02, 0.1, None, None, None)
LANES = 4  # servers at a time


@pytest.mark.slow("starts and stops 30 servers")
def test_no_request_is_lost_in_30_terminations(tmp_path):
    check_terminations(30, tmp_path)


@pytest.mark.heavy("starts and stops 1000 servers")
@pytest.mark.timeout(3600)
def test_no_request_is_lost_in_1000_terminations(tmp_path):
    check_terminations(1000, tmp_path)


def check_terminations(number: int, folder: Path) -> None:
    counts: Counter[int] = Counter()
    lost: list[str] = []
    with ThreadPoolExecutor(LANES) as pool:
        for one_counts, one_lost in pool.map(partial(terminate, folder, number // LANES), range(LANES)):
            counts += one_counts
            lost += one_lost
    print(f"{sum(counts.values())} requests: {dict(counts)}, {len(lost)} lost")
    assert lost == [], f"of {counts}"
    assert set(counts) == {200, 503}


def terminate(folder: Path, times: int, lane: int) -> tuple[Counter[int], list[str]]:
    """Stops servers one after the other: the answers by status, and what happened to requests without one."""
    counts: Counter[int] = Counter()
    lost: list[str] = []
    log = folder / f"{lane}.log"
    command = [sys.executable, forked_server.__file__, "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as servers:
        for _ in range(times):
            log.unlink(missing_ok=True)
            servers.stdin.write(f"{log}\n")
            servers.stdin.flush()
            process = int(servers.stdout.readline())
            clients = StubbornClients(port_in(log), request(), PAUSES)
            wait_until(lambda clients=clients: clients.counts[200] >= 20, 60)
            os.kill(process, signal.SIGTERM)
            clients.join()
            assert servers.stdout.readline() == "0\n", log.read_text()
            assert "Traceback" not in log.read_text()
            counts += clients.counts
            lost += clients.lost
        servers.stdin.close()
    return counts, lost


def port_in(log: Path) -> int:
    """The port in the message of a server that starts."""
    wait_until(lambda: log.exists() and "listening at" in log.read_text() and log.read_text().endswith("\n"), 60)
    return int(log.read_text().split("listening at ")[1].split("\n")[0].rpartition(":")[2])


def request() -> bytes:
    body = encoded()
    head = ("POST /predict HTTP/1.1", "Host: localhost", "Content-Type: image/png", f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode() + body
