"""Frozen settings built from the flags. A field is named like its flag, its default is the flag's default.

Every class says with `problems()` what is wrong with its values; `check` collects the problems of all of them.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from maskworks import redis_syntax
from maskworks.errors import ConfigError

MEBIBYTE = 1024 * 1024
PRECISIONS = ("auto", "fp32", "bf16", "fp16")


class Config(Protocol):
    """A frozen dataclass whose values can be checked."""

    def problems(self) -> Iterator[str]:
        """Texts that each name a flag, the value that is wrong with it, and what was expected."""
        ...


@dataclass(frozen=True, kw_only=True)
class InputConfig:
    """What is accepted as an image. `max_bytes` counts the file, `max_pixels` width times height from its header."""

    max_bytes: int = 64 * MEBIBYTE
    max_pixels: int = 100_000_000
    exif: str = "ignore"

    def problems(self) -> Iterator[str]:
        yield from _at_least("max_bytes", self.max_bytes, 1)
        yield from _at_least("max_pixels", self.max_pixels, 1)


@dataclass(frozen=True, kw_only=True)
class ShapeConfig:
    """How masks become rings: `simplify` in pixels of distance, `min_area` in pixels of area."""

    simplify: float = 0.0
    min_area: float = 0.0

    def problems(self) -> Iterator[str]:
        yield from _at_least("simplify", self.simplify, 0)
        yield from _at_least("min_area", self.min_area, 0)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Where and how a model runs. Model packages add their own fields in a subclass."""

    device: str = "auto"
    precision: str = "auto"
    compile: bool = False

    def problems(self) -> Iterator[str]:
        return iter(())


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """How work is put together: `batch_size` requests at most, waiting `batch_wait_ms` at most for more of them."""

    batch_size: int = 1
    batch_wait_ms: float = 0.0

    def problems(self) -> Iterator[str]:
        yield from _at_least("batch_size", self.batch_size, 1)
        yield from _at_least("batch_wait_ms", self.batch_wait_ms, 0)


@dataclass(frozen=True, kw_only=True)
class FolderConfig:
    """The folders that are watched and written. Times are seconds."""

    prediction_in: Path
    prediction_out: Path
    prediction_tmp: Path | None = None
    prediction_failed: Path | None = None
    poll_wait: float = 1.0
    continuous: bool = False
    use_watchdog: bool = False
    watchdog_check_interval: float = 10.0
    incomplete_wait: float = 10.0
    delete_input: bool = False
    overlay: bool = False

    @property
    def failed(self) -> Path:
        """Where failed inputs go: --prediction_failed, or `failed` inside the output folder."""
        return self.prediction_failed or self.prediction_out / "failed"

    def problems(self) -> Iterator[str]:
        yield from _at_least("poll_wait", self.poll_wait, 0.001)
        yield from _at_least("watchdog_check_interval", self.watchdog_check_interval, 0.001)
        yield from _at_least("incomplete_wait", self.incomplete_wait, 0)
        if not self.prediction_in.is_dir():
            yield f"--prediction_in: {self.prediction_in} is not a folder; create it or correct the path"
        elif not os.access(self.prediction_in, os.R_OK | os.W_OK | os.X_OK):
            yield f"--prediction_in: {self.prediction_in} must be readable and writable: inputs are moved when done"
        yield from _usable_folder("prediction_out", self.prediction_out)
        yield from _usable_folder("prediction_failed", self.failed)
        if self.prediction_tmp is not None:
            yield from _usable_folder("prediction_tmp", self.prediction_tmp)
        for flag in ("prediction_out", "prediction_tmp", "prediction_failed"):
            folder = getattr(self, flag)
            if folder is not None and _same_folder(folder, self.prediction_in):
                yield f"--{flag}: {folder} is the input folder; choose another one, results would be read as inputs"


@dataclass(frozen=True, kw_only=True)
class RedisServerConfig:
    """Where the server is."""

    redis_host: str = "localhost"
    redis_port: int = 6379
    redis_db: int = 0
    redis_password: str | None = None
    redis_password_env: str | None = None
    redis_url: str | None = None

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
        return f"Redis at {redis_syntax.without_password(self.redis_url)}"

    def problems(self) -> Iterator[str]:
        if not redis_syntax.is_host(self.redis_host):
            yield f"--redis_host: {self.redis_host!a} is no name of a host"
        if not 0 < self.redis_port < 65536:
            yield f"--redis_port: {self.redis_port} is no port; expected 1 to 65535"
        if self.redis_password_env is not None and self.redis_password_env not in os.environ:
            name = self.redis_password_env
            yield f"--redis_password_env: the environment variable {name} is not set; put the password into it"
        problem = "" if self.redis_url is None else redis_syntax.url_problem(self.redis_url)
        if problem:
            yield f"--redis_url: {problem}"


@dataclass(frozen=True, kw_only=True)
class RedisConfig(RedisServerConfig):
    """How work is taken from the server and answered. Times are seconds."""

    redis_in: str
    redis_out: str
    redis_timeout: float = 0.01
    redis_mode: str = "pubsub"
    redis_err: str | None = None
    redis_queue_bytes: int = 512 * MEBIBYTE
    redis_group: str = "maskworks"
    redis_consumer: str | None = None
    redis_claim_idle: float = 60.0
    redis_max_deliveries: int = 3
    redis_maxlen: int = 10_000
    redis_give_up: float | None = None

    @property
    def errors_to(self) -> str:
        """Where errors go: --redis_err, by default the name of the output with `_errors` behind it."""
        return self.redis_err or f"{self.redis_out}_errors"

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from _at_least("redis_timeout", self.redis_timeout, 0)
        yield from _at_least("redis_queue_bytes", self.redis_queue_bytes, 1)
        yield from _at_least("redis_claim_idle", self.redis_claim_idle, 0.1)
        yield from _at_least("redis_max_deliveries", self.redis_max_deliveries, 1)
        yield from _at_least("redis_maxlen", self.redis_maxlen, 1)
        if self.redis_give_up is not None:
            yield from _at_least("redis_give_up", self.redis_give_up, 0)
        for flag, name in (("redis_out", self.redis_out), ("redis_err", self.errors_to)):
            if self._reads(name):
                yield f"--{flag}: {name} is the input, too; choose another one, or answers become requests"

    def _reads(self, name: str) -> bool:
        if self.redis_mode == "stream":
            return name == self.redis_in
        return redis_syntax.matches(self.redis_in, name)


@dataclass(frozen=True, kw_only=True)
class HttpConfig:
    """Where requests are listened for, and how many are kept at a time. Times are seconds.

    `max_waiting` counts requests that arrived in full and are not answered, `queue_bytes` all bodies in memory.
    """

    host: str = "localhost"
    port: int = 8888
    request_timeout: float = 60.0
    max_waiting: int = 256
    queue_bytes: int = 512 * MEBIBYTE
    token_env: str | None = None

    @property
    def token(self) -> str | None:
        """What the environment variable named by --token_env holds; None if requests need no token."""
        return None if self.token_env is None else os.environ.get(self.token_env)

    def problems(self) -> Iterator[str]:
        yield from _at_least("request_timeout", self.request_timeout, 0.001)
        yield from _at_least("max_waiting", self.max_waiting, 1)
        yield from _at_least("queue_bytes", self.queue_bytes, 1)
        if not 0 <= self.port < 65536:
            yield f"--port: {self.port} is no port; expected 1 to 65535, or 0 for any free one"
        if self.token_env is not None and not self.token:
            yield f"--token_env: the environment variable {self.token_env} is not set or empty; put the token into it"


@dataclass(frozen=True, kw_only=True)
class MetricsConfig:
    """How a worker is watched: where Prometheus may ask, nowhere if `metrics_port` is None, and its health.

    `stuck_after` is how many seconds the model may work on a batch.
    """

    metrics_port: int | None = None
    metrics_host: str = "127.0.0.1"
    stuck_after: float = 600.0

    def problems(self) -> Iterator[str]:
        if self.metrics_port is not None and not 0 <= self.metrics_port < 65536:
            yield f"--metrics_port: {self.metrics_port} is no port; expected 0 to 65535"
        yield from _at_least("stuck_after", self.stuck_after, 0.001)


@dataclass(frozen=True, kw_only=True)
class LogConfig:
    """How much is said: `verbose` adds details, `quiet` leaves only warnings and errors."""

    verbose: bool = False
    quiet: bool = False

    def problems(self) -> Iterator[str]:
        if self.verbose and self.quiet:
            yield "--verbose and --quiet exclude each other; give one of them"


AnyConfig = TypeVar("AnyConfig", bound=Config)


def from_args(config: type[AnyConfig], args: argparse.Namespace) -> AnyConfig:
    """A config from parsed flags: each field takes the value of the flag of its name."""
    names = [field.name for field in dataclasses.fields(config)]  # type: ignore[arg-type]
    return config(**{name: getattr(args, name) for name in names})


def check(*configs: Config) -> None:
    """Raises one ConfigError with the problems of all configs, if there are any."""
    problems = [problem for config in configs for problem in config.problems()]
    if problems:
        raise ConfigError(problems)


def _at_least(flag: str, value: float, smallest: float) -> Iterator[str]:
    if not math.isfinite(value) or value < smallest:
        yield f"--{flag}: {value} is too small; expected a number of at least {smallest}"


def _same_folder(one: Path, other: Path) -> bool:
    """Whether two names lead to one folder: by links, mounts, or on a file system that ignores the case of letters."""
    return one.exists() and other.exists() and one.samefile(other)


def _usable_folder(flag: str, folder: Path) -> Iterator[str]:
    """A folder that exists and can be written, or that can be created: its nearest existing parent is writable."""
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        yield f"--{flag}: {existing} is a file; expected a folder"
    elif not os.access(existing, os.W_OK | os.X_OK):
        yield f"--{flag}: no permission to write in {existing}; change its owner or mode, or choose another folder"
