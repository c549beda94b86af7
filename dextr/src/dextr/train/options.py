"""The command line: every field of `TrainConfig` as a flag."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from dextr import __version__
from dextr.train.config import GROUPS, TrainConfig
from maskworks.config.arguments import add_flags
from maskworks.config.parser import Parser

_DESCRIPTION = """Train a DEXTR model, or go on from one. The log goes to logs/log_JOB_NAME.txt, the curves to
logs/JOB_NAME.csv and logs/tensorboard/JOB_NAME, the model to checkpoints/JOB_NAME.pth, and the one of the best
validation to checkpoints/JOB_NAME.best.pth. For several GPUs or machines, start it through torchrun."""


def parse(prog: str, argv: Sequence[str] | None, models: Mapping[str, Path]) -> TrainConfig:
    """The settings that the flags give. Wrong ones end the process with exit code 2, after all problems are told."""
    parser = new_parser(prog)
    config = TrainConfig(**vars(parser.parse_args(argv)))
    problems = list(config.problems(models))
    if problems:
        # Of several processes on a machine, one tells.
        told = problems if os.environ.get("LOCAL_RANK", "0") == "0" else []
        parser.exit(2, "".join(f"{prog}: {problem}\n" for problem in told))
    return config


def new_parser(prog: str) -> Parser:
    """A parser of all flags; abbreviated ones are refused."""
    parser = Parser(prog=prog, description=_DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("job_name", metavar="JOB_NAME", help="any name; names the files that are written")
    for title, config in GROUPS.items():
        add_flags(parser, title, config)
    return parser
