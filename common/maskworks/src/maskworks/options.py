"""The flags of the commands: which configs they take, and under what headings."""

from __future__ import annotations

import argparse
from collections.abc import Collection

from maskworks import __version__
from maskworks.config import (
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
from maskworks.config.arguments import Names, add_flags, add_group
from maskworks.config.flag import flags
from maskworks.config.parser import Parser


def new_parser(prog: str, description: str, *, short_help: bool = True) -> Parser:
    """A parser without flags of its own but --help (and -h, if wanted) and --version; abbreviations are refused."""
    parser = Parser(prog=prog, description=description, add_help=short_help)
    if not short_help:
        parser.add_argument("--help", action="help", help="show this help message and exit")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def add_model_options(
    parser: argparse.ArgumentParser,
    config: type[ModelConfig],
    *,
    without: Collection[str] = (),
    others: Names | None = None,
) -> None:
    """The model's own flags, then those of every model; `without` and `others` as in `add_flags`."""
    common = flags(ModelConfig)
    own = [name for name in flags(config) if name not in common and name not in without]
    add_group(parser, "model", config, [*own, *common], others or {})


def add_folder_options(parser: argparse.ArgumentParser) -> None:
    """The folders to watch and to write."""
    add_flags(parser, "folders", FolderConfig)


def add_redis_server_options(parser: argparse.ArgumentParser) -> None:
    """Where the Redis server is."""
    add_flags(parser, "Redis", RedisServerConfig)


def add_redis_options(parser: argparse.ArgumentParser) -> None:
    """The Redis server, and how work is taken from it."""
    add_flags(parser, "Redis", RedisConfig)


def add_http_options(parser: argparse.ArgumentParser, others: Names | None = None) -> None:
    """Where to listen, limits on requests, the token; `others` as in `add_flags`."""
    add_flags(parser, "HTTP", HttpConfig, others=others)


def add_image_options(parser: argparse.ArgumentParser) -> None:
    """Limits on images."""
    add_flags(parser, "images", InputConfig)


def add_pipeline_options(parser: argparse.ArgumentParser) -> None:
    """Limits on images, how masks become polygons, and batches."""
    add_image_options(parser)
    add_flags(parser, "polygons", ShapeConfig)
    add_flags(parser, "batches", LoopConfig)


def add_log_options(parser: argparse.ArgumentParser) -> None:
    """How much a command says."""
    add_flags(parser, "messages", LogConfig)


def add_watch_options(parser: argparse.ArgumentParser) -> None:
    """How the command can be watched: its messages, its metrics, its health."""
    add_log_options(parser)
    add_flags(parser, "monitoring", MetricsConfig)
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
