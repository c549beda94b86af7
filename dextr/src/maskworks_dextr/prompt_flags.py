"""Extreme points on the command line of the test client."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from maskworks.commands.redis_clients import Sender, read_prompt_file
from maskworks.errors import ConfigError


def add_prompt(parser: argparse.ArgumentParser) -> None:
    """-P with four points, or --prompt with a file that holds any prompt."""
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument(
        "-P", "--point", metavar="x,y", nargs=4, help="the four extreme points, in pixels; floats are fine"
    )
    group.add_argument("--prompt", metavar="FILE", type=Path, help="JSON file with the prompt, for anything else")


def read_prompt(args: argparse.Namespace) -> dict[str, Any]:
    """The keys of the message that make the prompt.

    Raises:
        ConfigError: a point is none, or the file cannot be read.
    """
    if args.prompt is None:
        return {"points": [_point(text) for text in args.point]}
    return read_prompt_file(args.prompt)


def _point(text: str) -> list[float]:
    try:
        x, y = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError([f"--point: {text!r} is no point; expected x,y such as 12,34.5"]) from None
    return [x, y]


SENDER = Sender(name="dextr", add_prompt=add_prompt, read_prompt=read_prompt)
