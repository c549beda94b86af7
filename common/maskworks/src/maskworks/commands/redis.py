"""`<name>_predict_redis`: a worker on Redis."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial

from maskworks import config, options
from maskworks.commands.model import Model
from maskworks.commands.run import run_command, say
from maskworks.commands.worker import measured, read_settings


def predict_redis(model: Model, argv: Sequence[str] | None = None) -> int:
    """`<name>_predict_redis`: answers requests over Redis. Returns the exit code."""
    parser = options.new_parser(f"{model.name}_predict_redis", f"{model.title}: predictions for images over Redis.")
    options.add_model_options(parser, model.config)
    options.add_redis_options(parser)
    options.add_pipeline_options(parser)
    options.add_watch_options(parser)
    return run_command(parser, partial(_predict_redis, model), argv)


def _predict_redis(model: Model, args: argparse.Namespace) -> int:
    redis = config.from_args(config.RedisConfig, args)
    settings = read_settings(model, args, redis)

    from maskworks.heartbeat import Heartbeat
    from maskworks.loop import Loop
    from maskworks.progress import Progress
    from maskworks.shutdown import Shutdown
    from maskworks.transports.redis.pubsub import PubSubTransport
    from maskworks.transports.redis.stream import StreamTransport

    with Shutdown() as stop, settings.pipeline(model, stop) as pipeline:
        message_format = model.message_format(settings.model)
        kind = StreamTransport if redis.redis_mode == "stream" else PubSubTransport
        liveness = settings.liveness()
        # It lives while it waits for its server, too.
        with Heartbeat(f"{model.name}_predict_redis", liveness=liveness) as heartbeat:
            transport = kind(redis, message_format, stop)
            heartbeat.probe = transport.check
            report = Progress(False, lambda: 0).report
            loop = Loop(
                transport, pipeline, settings.loop, stop, on_outcome=report, in_order=message_format.in_order,
                liveness=liveness,
            )  # fmt: skip
            if isinstance(transport, PubSubTransport):
                transport.count_overloads(loop.metrics.count)
            with measured(loop, settings.metrics):
                metrics = loop.run()
    if not settings.log.quiet:
        say(metrics.summary())
    return 0
