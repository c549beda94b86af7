"""The body of `mmdet_sample_data`: a small data set to try a training with."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from maskworks import options
from maskworks.commands.run import run_command, say


def main(argv: Sequence[str] | None = None) -> int:
    """Parses the flags and writes it. Returns the exit code."""
    parser = options.new_parser(
        "mmdet_sample_data", "Writes a small data set of discs and boxes in COCO's format, to try a training with."
    )
    parser.add_argument(
        "folder", metavar="FOLDER", type=Path, help="gets train.json, val.json, their pictures in images, and further "
        "pictures to predict in new; data is the one that the starter config reads",
    )  # fmt: skip
    return run_command(parser, _write, argv)


def _write(args: argparse.Namespace) -> int:
    from maskworks_mmdet.sample_data import NAMES, NEW, TRAINING, VALIDATION, write_sample

    write_sample(args.folder)
    say(
        f"{args.folder}: {len(TRAINING)} pictures to train with, {len(VALIDATION)} to validate with, {len(NEW)} to "
        f"predict; the classes are {', '.join(NAMES)}"
    )
    return 0
