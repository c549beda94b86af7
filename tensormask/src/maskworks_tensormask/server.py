"""`tensormask-server`: the first server's flags and its /model/, on the server that all models have."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import maskworks.commands.early_interrupt  # noqa: F401 - before all that takes time
from maskworks import options
from maskworks.commands import serve
from maskworks.commands.run import run_command
from maskworks_tensormask.cli import MODEL
from maskworks_tensormask.options import TensorMaskConfig

if TYPE_CHECKING:
    from maskworks.predictor import Predictor

NAME = "tensormask-server"
# The flags' names in earlier versions of this command.
OTHER_NAMES = {
    "model": ["-tp", "-tb", "--tensormask-path"],
    "config": ["-cp", "--configuration-path"],
    "threshold": ["-t"],
    "host": ["-h"],
    "port": ["-p"],
}


def load(config: TensorMaskConfig) -> Predictor:
    """Loads the model; only now torch is imported."""
    from maskworks_tensormask.adapter import TensorMaskPredictor
    from maskworks_tensormask.both_sizes import BothSizes

    return BothSizes(TensorMaskPredictor.load(config))


def server(argv: Sequence[str] | None = None) -> int:
    """Serves until a signal comes. Returns the exit code."""
    parser = options.new_parser(NAME, "TensorMask: predictions for images over HTTP.", short_help=False)
    options.add_model_options(parser, MODEL.config, others=OTHER_NAMES)
    options.add_http_options(parser, OTHER_NAMES)
    options.add_pipeline_options(parser)
    options.add_watch_options(parser)
    return run_command(parser, _serve, argv)


def main() -> None:
    """`tensormask-server`."""
    sys.exit(server())


def _serve(args: argparse.Namespace) -> int:
    from maskworks_tensormask.model_endpoint import ModelEndpoint

    return serve.run_server(replace(MODEL, load=load), NAME, args, [ModelEndpoint()])
