"""Fixtures for the tests of the shared library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.support.redis_process import RedisProcess
from tests.support.workplace import Folders


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    (tmp_path / "in").mkdir()
    return Folders(tmp_path)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisProcess]:
    process = RedisProcess(tmp_path)
    yield process
    process.stop()


@pytest.fixture
def client(server: RedisProcess) -> Iterator[redis.Redis]:
    client = server.client()
    yield client
    client.close()
