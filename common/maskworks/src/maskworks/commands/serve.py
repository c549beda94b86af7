"""The body of the HTTP servers: `<name>_serve`, and those with paths of their own beside /predict."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from maskworks import config, options
from maskworks.commands.model import Model
from maskworks.commands.run import run_command, say
from maskworks.commands.worker import read_settings, watched

if TYPE_CHECKING:
    from maskworks.transports.http.endpoint import Endpoint


def serve(model: Model, argv: Sequence[str] | None = None) -> int:
    """`<name>_serve`: answers requests over HTTP. Returns the exit code."""
    name = f"{model.name}_serve"
    parser = options.new_parser(name, f"{model.title}: predictions for images over HTTP.")
    options.add_model_options(parser, model.config)
    options.add_http_options(parser)
    options.add_pipeline_options(parser)
    options.add_watch_options(parser)
    return run_command(parser, partial(run_server, model, name), argv)


def run_server(model: Model, name: str, args: argparse.Namespace, endpoints: Sequence[Endpoint] = ()) -> int:
    """Serves until a signal comes, then answers what is in flight. Returns the exit code.

    Args:
        model: what predicts.
        name: of the command.
        args: its flags.
        endpoints: paths beside /predict.
    """
    http = config.from_args(config.HttpConfig, args)
    settings = read_settings(model, args, http)

    from prometheus_client import CollectorRegistry

    from maskworks.loop import Loop
    from maskworks.progress import Progress
    from maskworks.shutdown import Shutdown
    from maskworks.transports.http.app import HttpApp
    from maskworks.transports.http.readiness import Readiness
    from maskworks.transports.http.server import HttpServer
    from maskworks.transports.http.transport import HttpTransport

    with Shutdown() as stop:
        paths = [_predict(model, settings.model), *endpoints]
        transport, registry, liveness = HttpTransport(), CollectorRegistry(), settings.liveness()
        app = HttpApp(
            transport,
            paths,
            http,
            settings.input,
            registry=registry,
            readiness=Readiness(transport, paths[0], stop),
            liveness=liveness,
            title=model.title,
            prompts=model.prompts if model.prompt_suffix else (),
        )
        # The server is there while the model is loaded. It ends first, too, with every request answered: only then the
        # transport is exhausted and the loop ends, which itself is never told to stop.
        with HttpServer(app.asgi(), transport, http, stop) as server, closing(transport):
            if not settings.log.quiet:
                say(f"{model.title}: listening at {server.url}")
            with settings.pipeline(model, stop) as pipeline:
                report = Progress(False, lambda: 0).report
                loop = Loop(transport, pipeline, settings.loop, threading.Event(), on_outcome=report, liveness=liveness)
                registry.register(loop.metrics)
                with watched(loop, settings, name, server.check, liveness):
                    metrics = loop.run()
    if not settings.log.quiet:
        say(metrics.summary())
    return 0


def _predict(model: Model, settings: config.ModelConfig) -> Endpoint:
    """`POST /predict`: messages are read and answered as over Redis."""
    from maskworks.transports.http.predict import PredictEndpoint

    return PredictEndpoint(model.message_format(settings), needs_prompt=model.prompt_suffix is not None)
