"""Every shared command-line flag, defined once, in groups. Their defaults are those of the configs."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from maskworks import __version__
from maskworks.config import (
    PRECISIONS,
    FolderConfig,
    HttpConfig,
    InputConfig,
    LogConfig,
    LoopConfig,
    MetricsConfig,
    ModelConfig,
    RedisConfig,
    RedisServerConfig,
    ShapeConfig,
)


class Options:
    """A titled group of flags that fill one config class.

    Args:
        parser: gets the group.
        title: shown above the flags in the help.
        config: the dataclass whose fields the flags are named after, and that has their defaults.
        others: further names of flags, by the field.
    """

    def __init__(
        self,
        parser: argparse.ArgumentParser,
        title: str,
        config: type[Any],
        others: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._group = parser.add_argument_group(title)
        self._fields = {field.name: field for field in dataclasses.fields(config)}
        self._others = others or {}

    def value(
        self, name: str, kind: Callable[[str], Any], metavar: str, text: str, choices: tuple[str, ...] | None = None
    ) -> None:
        """A flag with a value."""
        field = self._fields[name]
        required = field.default is dataclasses.MISSING
        default = None if required else field.default
        if not required and default is not None:
            text += f" (default: {default})"
        elif required:
            text += " (required)"
        self._group.add_argument(
            *self._others.get(name, ()),
            f"--{name}",
            dest=name,
            type=kind,
            metavar=metavar,
            help=text,
            choices=choices,
            default=default,
            required=required,
        )

    def switch(self, name: str, text: str) -> None:
        """A flag that is on or off; off is the default."""
        self._group.add_argument(f"--{name}", action="store_true", help=text)


def new_parser(prog: str, description: str, *, short_help: bool = True) -> argparse.ArgumentParser:
    """A parser without flags of its own but --help (and -h, if wanted) and --version; abbreviations are refused."""
    parser = argparse.ArgumentParser(prog=prog, description=description, allow_abbrev=False, add_help=short_help)
    if not short_help:
        parser.add_argument("--help", action="help", help="show this help message and exit")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def add_model_options(
    parser: argparse.ArgumentParser,
    config: type[ModelConfig],
    add_own: Callable[[Options], None],
    others: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """The model's own flags, which `add_own` adds, then those of every model; `others` as in `Options`."""
    options = Options(parser, "model", config, others)
    add_own(options)
    add_device_options(options)
    options.switch("compile", "compile the network first: slow start, then faster")


def add_device_options(options: Options) -> None:
    """Where the model runs."""
    options.value("device", str, "DEVICE", "auto (the first GPU, else the CPU), cpu, cuda:0, ...")
    options.value(
        "precision", str, "|".join(PRECISIONS), "auto is bf16 where the hardware has it, else fp32", PRECISIONS
    )


def add_folder_options(parser: argparse.ArgumentParser) -> None:
    """The folders to watch and to write."""
    options = Options(parser, "folders", FolderConfig)
    options.value("prediction_in", Path, "DIR", "folder with the images to process")
    options.value("prediction_out", Path, "DIR", "folder for the results; inputs move here when done")
    options.value("prediction_tmp", Path, "DIR", "folder in which results are made first (default: beside the results)")
    options.value("prediction_failed", Path, "DIR", "folder for inputs that failed (default: OUT/failed)")
    options.value("poll_wait", float, "S", "seconds between two looks at the input folder")
    options.switch("continuous", "keep watching the folder; without it, work until the folder is empty and exit")
    options.switch("use_watchdog", "wake up as soon as a file arrives")
    options.value("watchdog_check_interval", float, "S", "seconds between two looks when --use_watchdog is on")
    options.value("incomplete_wait", float, "S", "seconds without change after which a half-written file is given up")
    options.switch("delete_input", "delete inputs when done instead of moving them to --prediction_out")
    options.switch("overlay", "also write NAME-overlay.png: image, mask, outline and prompt")


def add_redis_server_options(parser: argparse.ArgumentParser, config: type[RedisServerConfig]) -> Options:
    """Where the Redis server is; the group that the flags are in, for more of them."""
    options = Options(parser, "Redis", config)
    options.value("redis_host", str, "HOST", "server to connect to")
    options.value("redis_port", int, "PORT", "its port")
    options.value("redis_db", int, "DB", "its database")
    options.value("redis_password", str, "PASSWORD", "password; visible to others on this machine, so better:")
    options.value("redis_password_env", str, "NAME", "environment variable with the password")
    options.value(
        "redis_url", str, "URL", "instead of host, port and database: redis://, rediss:// (TLS) or unix://, with users"
    )
    return options


def add_redis_options(parser: argparse.ArgumentParser) -> None:
    """The Redis server, and how work is taken from it."""
    options = add_redis_server_options(parser, RedisConfig)
    options.value("redis_in", str, "CHANNEL", "where requests come from; with pubsub a pattern")
    options.value("redis_out", str, "CHANNEL", "where results go")
    options.value("redis_err", str, "CHANNEL", "where errors go (default: OUT_errors)")
    options.value("redis_timeout", float, "S", "accepted from older command lines, without effect")
    options.value("redis_give_up", float, "S", "seconds without server after which the command ends (default: never)")
    options.value(
        "redis_mode", str, "pubsub|stream", "channels as of old, or streams for several workers that lose nothing",
        ("pubsub", "stream"),
    )  # fmt: skip
    options.value(
        "redis_queue_bytes", int, "N", "pubsub: most bytes of waiting requests; more are answered `overloaded`"
    )
    options.value("redis_group", str, "NAME", "stream: consumer group; the workers of a group share the work")
    options.value(
        "redis_consumer", str, "NAME", "stream: this worker in the group (default: host, process and a number)"
    )
    options.value("redis_claim_idle", float, "S", "stream: seconds after which the work of a dead worker is taken over")
    options.value(
        "redis_max_deliveries", int, "N",
        "stream: tries after which a request goes to IN_dead with an error; the last is made alone, so with 1 those "
        "beside a deadly one are given up, too",
    )  # fmt: skip
    options.value("redis_maxlen", int, "N", "stream: about how many results are kept")


def add_http_options(parser: argparse.ArgumentParser, others: Mapping[str, Sequence[str]] | None = None) -> None:
    """Where to listen, limits on requests, the token; `others` as in `Options`."""
    options = Options(parser, "HTTP", HttpConfig, others)
    options.value("host", str, "HOST", "address to listen at; 0.0.0.0 for all of IPv4, :: for all")
    options.value("port", int, "PORT", "port to listen at; 0 for any free one")
    options.value("request_timeout", float, "S", "seconds after which a request that has no answer gets an error")
    options.value("max_waiting", int, "N", "most requests to hold at a time; more are answered `overloaded`")
    options.value("queue_bytes", int, "N", "most bytes of requests to hold at a time; more are answered `overloaded`")
    options.value("token_env", str, "NAME", "environment variable with a token that requests have to show")


def add_image_options(parser: argparse.ArgumentParser) -> None:
    """Limits on images."""
    options = Options(parser, "images", InputConfig)
    options.value("max_bytes", int, "N", "largest image file in bytes")
    options.value("max_pixels", int, "N", "largest image in pixels, read from its header")
    options.value("exif", str, "ignore|apply", "what to do about an EXIF orientation", ("ignore", "apply"))


def add_pipeline_options(parser: argparse.ArgumentParser) -> None:
    """Limits on images, how masks become polygons, and batches."""
    add_image_options(parser)
    shape = Options(parser, "polygons", ShapeConfig)
    shape.value("simplify", float, "PX", "how far a polygon may leave the exact outline")
    shape.value("min_area", float, "PX", "drop parts of a mask with fewer pixels")
    loop = Options(parser, "batches", LoopConfig)
    loop.value("batch_size", int, "N", "most images in one run of the model")
    loop.value("batch_wait_ms", float, "MS", "longest wait for more images to fill a batch")


def add_log_options(parser: argparse.ArgumentParser) -> None:
    """How much a command says."""
    options = Options(parser, "messages", LogConfig)
    options.switch("verbose", "say more")
    options.switch("quiet", "say nothing but warnings and errors")


def add_watch_options(parser: argparse.ArgumentParser) -> None:
    """How the command can be watched: its messages, its metrics, its health."""
    add_log_options(parser)
    metrics = Options(parser, "monitoring", MetricsConfig)
    metrics.value("metrics_port", int, "PORT", "answer Prometheus at this port (default: off)")
    metrics.value("metrics_host", str, "HOST", "address to answer Prometheus at")
    metrics.value("stuck_after", float, "S", "seconds in the model with one batch after which --check fails")
    parser.add_argument(
        "--check", action=_Check, nargs="?", choices=("ready", "live"), const="ready", metavar="ready|live",
        help="only see whether this command runs here and is well: exit 0 or 1; with live, its server may be away",
    )  # fmt: skip


class _Check(argparse.Action):
    """Like --help it works without the flags that are required otherwise."""

    def __call__(self, parser: argparse.ArgumentParser, _: object, kind: object, *__: object) -> None:
        from maskworks.heartbeat import check

        problem = check(parser.prog, live=kind == "live")
        parser.exit(1 if problem else 0, f"{parser.prog}: {problem}\n" if problem else "")
