"""From arguments to an exit code: errors become one message each."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from maskworks.commands.extra import missing_extra
from maskworks.errors import ConfigError, MaskworksError

SOME_FAILED = 3
NOT_INSTALLED = 1
INTERRUPTED = 130


def run_command(
    parser: argparse.ArgumentParser,
    body: Callable[[argparse.Namespace], int],
    argv: Sequence[str] | None = None,
    *,
    intermixed: bool = False,
) -> int:
    """Parses the flags and runs a command's body; errors become one message and their exit code.

    With `intermixed` a list of arguments may go on behind flags.
    """
    args = (parser.parse_intermixed_args if intermixed else parser.parse_args)(argv)
    try:
        return body(args)
    except ConfigError as error:
        for problem in error.problems:
            say(f"{parser.prog}: {problem}")
        say(f"{parser.prog} --help lists all flags")
        return error.exit_code
    except MaskworksError as error:
        say(f"{parser.prog}: {error.message}")
        return error.exit_code
    except ModuleNotFoundError as error:
        text = missing_extra(parser.prog, error)
        if not text:
            raise
        say(f"{parser.prog}: {text}")
        return NOT_INSTALLED
    except KeyboardInterrupt:  # before the handlers of `Shutdown` are in place
        return INTERRUPTED


def say(text: str) -> None:
    """One line for people, on standard error."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201
