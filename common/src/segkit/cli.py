"""The bodies of the commands: flags -> configs -> model, transport and pipeline -> loop -> exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from segkit import config, options
from segkit.errors import ConfigError, SegkitError

if TYPE_CHECKING:
    from segkit.metrics import Metrics
    from segkit.predictor import Predictor
    from segkit.types import Prediction

SOME_FAILED = 3
INTERRUPTED = 130


@dataclass(frozen=True, kw_only=True)
class Model:
    """What a model package hands over to have commands.

    Attributes:
        name: how commands begin, e.g. `dextr`.
        title: how people call it.
        prompt_suffix: the extension of prompt files; None if it needs no prompt.
        config: its settings, a subclass of `ModelConfig`.
        add_options: adds its own flags to the group of the model.
        load: loads the model; only here the heavy imports happen.
    """

    name: str
    title: str
    prompt_suffix: str | None
    config: type[config.ModelConfig]
    add_options: Callable[[options.Options], None]
    load: Callable[[Any], Predictor]


def predict_poll(model: Model, argv: Sequence[str] | None = None) -> int:
    """`<name>_predict_poll`: watches a folder. Returns the exit code."""
    parser = options.new_parser(f"{model.name}_predict_poll", f"{model.title}: predictions for the images in a folder.")
    options.add_model_options(parser, model.config, model.add_options)
    options.add_folder_options(parser)
    options.add_pipeline_options(parser)
    options.add_log_options(parser)
    return run(parser, partial(_predict_poll, model), argv)


def run(
    parser: argparse.ArgumentParser, body: Callable[[argparse.Namespace], int], argv: Sequence[str] | None = None
) -> int:
    """Parses the flags and runs a command's body; errors become one message and their exit code."""
    args = parser.parse_args(argv)
    try:
        return body(args)
    except ConfigError as error:
        for problem in error.problems:
            _say(f"{parser.prog}: {problem}")
        _say(f"{parser.prog} --help lists all flags")
        return error.exit_code
    except SegkitError as error:
        _say(f"{parser.prog}: {error.message}")
        return error.exit_code
    except KeyboardInterrupt:  # before the handlers of `Shutdown` are in place
        return INTERRUPTED


def _predict_poll(model: Model, args: argparse.Namespace) -> int:
    model_config = config.from_args(model.config, args)
    folder_config = config.from_args(config.FolderConfig, args)
    input_config = config.from_args(config.InputConfig, args)
    shape_config = config.from_args(config.ShapeConfig, args)
    loop_config = config.from_args(config.LoopConfig, args)
    log_config = config.from_args(config.LogConfig, args)
    config.check(model_config, folder_config, input_config, shape_config, loop_config, log_config)

    from segkit import log
    from segkit.loop import Loop
    from segkit.pipeline import Pipeline
    from segkit.progress import Progress
    from segkit.shutdown import Shutdown
    from segkit.transports.folder import FolderTransport
    from segkit.wire.request import decode_pair

    log.set_up(log_config)
    with Shutdown() as stop:
        pipeline = Pipeline(
            predictor=model.load(model_config),
            decoder=decode_pair,
            encoder=partial(_encode_files, overlay=folder_config.overlay),
            input_config=input_config,
            shape_config=shape_config,
        )
        names = {"mask": ".png", "overlay": "-overlay.png", "opex": ".json"}
        transport = FolderTransport(folder_config, input_config, model.prompt_suffix, names)
        progress = Progress(not folder_config.continuous and not log_config.quiet, lambda: transport.backlog)
        loop = Loop(
            transport, pipeline, loop_config, stop, patient=folder_config.continuous, on_outcome=progress.report
        )
        try:
            metrics = loop.run()
        finally:
            progress.close()
    if not log_config.quiet:
        _say(metrics.summary())
    return _conclude(metrics, folder_config, transport.left_over)


def _conclude(metrics: Metrics, folders: config.FolderConfig, left_over: Sequence[str]) -> int:
    """Says what needs attention after a run over a folder, and its exit code."""
    if folders.continuous:
        return 0
    if left_over:
        _say(f"left in {folders.prediction_in}, the other file of the pair is missing: {', '.join(left_over[:10])}")
    if metrics.failed:
        _say(f"failed inputs and the reasons (*.error.json) are in {folders.failed}")
        return SOME_FAILED
    return 0


def _encode_files(prediction: Prediction, *, overlay: bool) -> Mapping[str, bytes]:
    """The files that the folder commands write for one image."""
    from segkit.overlay import encode_overlay
    from segkit.wire.image import encode_mask
    from segkit.wire.opex import encode_opex

    parts = {"mask": encode_mask(prediction.mask), "opex": encode_opex(prediction)}
    return {**parts, "overlay": encode_overlay(prediction)} if overlay else parts


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201
