"""`python -m dextr.train`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dextr.errors import DextrError
from dextr.train.options import parse


def main(
    argv: Sequence[str] | None = None, *, prog: str = "python -m dextr.train", models: Mapping[str, Path] | None = None
) -> int:
    """Trains as the flags say.

    Args:
        argv: the flags; None takes those of the process.
        prog: the program's name in messages.
        models: files that --load_model knows by a name.

    Returns:
        The exit code: 0 done, 1 no space or a loss that is not finite, 2 wrong flags or data, 5 a model file, 6 the
        device, 128 + n stopped by signal n (--resume goes on).
    """
    config = parse(prog, argv, models or {})
    # Only now, as torch takes seconds to import.
    from dextr.train.job import run

    try:
        return run(config, models or {})
    except DextrError as error:
        print(f"{prog}: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
