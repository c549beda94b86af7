"""From arguments to an exit code: errors become one message each."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial

from maskworks.commands.extra import missing_extra
from maskworks.errors import ConfigError, MaskworksError, reason_of
from maskworks.shutdown import Interrupted

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
    complain = partial(_complain, getattr(args, "log_format", "text"))
    try:
        return body(args)
    except ConfigError as error:
        for problem in error.problems:
            complain(f"{parser.prog}: {problem}")
        complain(f"{parser.prog} --help lists all flags")
        return error.exit_code
    except (MaskworksError, OSError) as error:  # the latter of a folder or a disk that nobody has looked at before
        ours = error if isinstance(error, MaskworksError) else MaskworksError(reason_of(error, file=True))
        complain(f"{parser.prog}: {ours.message}")
        return ours.exit_code
    except ModuleNotFoundError as error:
        text = missing_extra(parser.prog, error)
        if not text:
            raise
        complain(f"{parser.prog}: {text}")
        return NOT_INSTALLED
    except Interrupted:
        say(f"{parser.prog}: stopped before the model was loaded")
        return 0
    except KeyboardInterrupt:  # before the handlers of `Shutdown` are in place
        return INTERRUPTED


def _complain(log_format: str, text: str) -> None:
    """Says what ends a command, which may not have set its log up yet."""
    from maskworks import log

    log.choose(log_format)
    log.say(text, "error")


def say(text: str, level: str = "info") -> None:
    """One line for people, on standard error."""
    from maskworks import log  # not needed to answer --help

    log.say(text, level)
