"""`<name>_predict_poll`: a worker on a folder."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from maskworks import config, options
from maskworks.commands.model import Model
from maskworks.commands.run import SOME_FAILED, run_command, say
from maskworks.commands.worker import read_settings, watched

if TYPE_CHECKING:
    from maskworks.metrics import Metrics
    from maskworks.transports.folder.transport import FolderTransport


def predict_poll(model: Model, argv: Sequence[str] | None = None) -> int:
    """`<name>_predict_poll`: watches a folder. Returns the exit code."""
    name = model.folder_command or f"{model.name}_predict_poll"
    parser = options.new_parser(name, f"{model.title}: predictions for the images in a folder.")
    options.add_model_options(parser, model.config)
    options.add_folder_options(parser)
    options.add_pipeline_options(parser)
    options.add_watch_options(parser)
    return run_command(parser, partial(_predict_poll, model, name), argv)


def _predict_poll(model: Model, name: str, args: argparse.Namespace) -> int:
    folders = config.from_args(config.FolderConfig, args)
    settings = read_settings(model, args, folders)

    from maskworks.loop import Loop
    from maskworks.progress import Progress
    from maskworks.shutdown import Shutdown
    from maskworks.transports.folder.transport import FolderTransport

    if folders.use_watchdog:  # that its library is missing is said before the model is loaded
        import maskworks.transports.folder.watch  # noqa: F401

    with Shutdown() as stop, settings.pipeline(model, stop) as pipeline:
        file_format = model.file_format(settings.model, folders.overlay)
        transport = FolderTransport(folders, settings.input, model.prompt_suffix, file_format)
        wanted = not folders.continuous and settings.log.for_people
        progress = Progress(wanted, lambda: transport.backlog + len(transport.in_hand))
        patient, liveness = folders.continuous, settings.liveness()
        loop = Loop(
            transport, pipeline, settings.loop, stop, patient=patient, on_outcome=progress.report, liveness=liveness
        )
        with closing(progress), watched(loop, settings, name, transport.check, liveness):
            metrics = loop.run()
    if not settings.log.quiet:
        say(metrics.summary())
    if stop.is_set() and not folders.continuous and not settings.log.quiet:
        say(f"stopped before the end; what is left is in {folders.prediction_in}")
    return _conclude(metrics, folders, transport)


def _conclude(metrics: Metrics, folders: config.FolderConfig, transport: FolderTransport) -> int:
    """Says what needs attention after a run over a folder, and its exit code."""
    if folders.continuous:
        return 0
    from maskworks.transports.folder.others import listed

    mistaken = transport.waiting.mistaken
    if transport.waiting.names:
        names = listed(transport.waiting.names)
        say(f"left in {folders.prediction_in}, the other file of the pair is missing: {names}")
    if mistaken:
        say(mistaken)
    for line in transport.others.reasons():
        say(line)
    if metrics.failed:
        say(f"failed inputs and the reasons (*.error.json) are in {folders.failed}")
        return SOME_FAILED
    return SOME_FAILED if mistaken else 0
