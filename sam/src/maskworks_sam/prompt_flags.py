"""The prompt on the command line of the test client."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from maskworks.commands.redis_clients import Sender, read_prompt_file


def add_prompt(parser: argparse.ArgumentParser) -> None:
    """-P with a file."""
    parser.add_argument(
        "-P", "--prompt", metavar="FILE", type=Path, required=True, help="JSON file with clicks, a box, ... (required)"
    )


def read_prompt(args: argparse.Namespace) -> dict[str, Any]:
    """The key of the message that holds the prompt.

    Raises:
        ConfigError: the file cannot be read.
    """
    return {"prompt": read_prompt_file(args.prompt)}


SENDER = Sender(name="sam", add_prompt=add_prompt, read_prompt=read_prompt)
