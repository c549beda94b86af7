"""The bodies of the commands: flags -> configs -> model, transport and pipeline -> loop -> exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from segkit import config, formats, options
from segkit.errors import ConfigError, DeviceError, OutOfMemory, SegkitError
from segkit.memory_errors import memory_errors

if TYPE_CHECKING:
    from segkit.loop import Loop
    from segkit.metrics import Metrics
    from segkit.pipeline import Pipeline
    from segkit.predictor import Predictor

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
        folder_command: what the folder command is called, by default `<name>_predict_poll`.
        folder_format: from its settings and --overlay to what is read from folders and written there.
        message_format: from its settings to what is read from Redis and answered.
        prompts: the prompts to offer on the page of the HTTP server: `points` (extreme points), `box`, `clicks`.
    """

    name: str
    title: str
    prompt_suffix: str | None
    config: type[config.ModelConfig]
    add_options: Callable[[options.Options], None]
    load: Callable[[Any], Predictor]
    folder_command: str = ""
    folder_format: Callable[[Any, bool], formats.FolderFormat] = formats.files
    message_format: Callable[[Any], formats.MessageFormat] = formats.messages
    prompts: tuple[str, ...] = ("points", "box")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The configs that all workers have."""

    model: config.ModelConfig
    input: config.InputConfig
    shape: config.ShapeConfig
    loop: config.LoopConfig
    metrics: config.MetricsConfig
    log: config.LogConfig

    def pipeline(self, model: Model, **steps: Any) -> Pipeline:
        """The pipeline around the loaded model, with the steps that depend on the transport.

        From here on this process keeps the memory that it frees, as images and networks need the same again and again.

        Raises:
            DeviceError: the model is larger than the device's memory.
        """
        from cpu_operators.memory import keep_freed_memory
        from segkit.pipeline import Pipeline

        keep_freed_memory()
        try:
            with memory_errors():
                predictor = model.load(self.model)
        except OutOfMemory:
            raise DeviceError(
                f"--device {self.model.device}: its memory does not hold the model; "
                "stop what else uses it, or choose another device"
            ) from None
        return Pipeline(predictor=predictor, input_config=self.input, shape_config=self.shape, **steps)


def predict_poll(model: Model, argv: Sequence[str] | None = None) -> int:
    """`<name>_predict_poll`: watches a folder. Returns the exit code."""
    name = model.folder_command or f"{model.name}_predict_poll"
    parser = options.new_parser(name, f"{model.title}: predictions for the images in a folder.")
    options.add_model_options(parser, model.config, model.add_options)
    options.add_folder_options(parser)
    options.add_pipeline_options(parser)
    options.add_watch_options(parser)
    return run(parser, partial(_predict_poll, model, name), argv)


def predict_redis(model: Model, argv: Sequence[str] | None = None) -> int:
    """`<name>_predict_redis`: answers requests over Redis. Returns the exit code."""
    parser = options.new_parser(f"{model.name}_predict_redis", f"{model.title}: predictions for images over Redis.")
    options.add_model_options(parser, model.config, model.add_options)
    options.add_redis_options(parser)
    options.add_pipeline_options(parser)
    options.add_watch_options(parser)
    return run(parser, partial(_predict_redis, model), argv)


def run(
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
    except SegkitError as error:
        say(f"{parser.prog}: {error.message}")
        return error.exit_code
    except KeyboardInterrupt:  # before the handlers of `Shutdown` are in place
        return INTERRUPTED


def _predict_poll(model: Model, name: str, args: argparse.Namespace) -> int:
    folders = config.from_args(config.FolderConfig, args)
    settings = read_settings(model, args, folders)

    from segkit.loop import Loop
    from segkit.progress import Progress
    from segkit.shutdown import Shutdown
    from segkit.transports.folder import FolderTransport

    with Shutdown() as stop:
        form = model.folder_format(settings.model, folders.overlay)
        pipeline = settings.pipeline(model, decoder=form.decoder, encoder=form.encoder)
        transport = FolderTransport(
            folders, settings.input, model.prompt_suffix, dict(form.suffixes), keep_extension=form.keep_extension
        )
        progress = Progress(not folders.continuous and not settings.log.quiet, lambda: transport.backlog)
        loop = Loop(transport, pipeline, settings.loop, stop, patient=folders.continuous, on_outcome=progress.report)
        with closing(progress), watched(loop, settings, name, transport.check):
            metrics = loop.run()
    if not settings.log.quiet:
        say(metrics.summary())
    return _conclude(metrics, folders, transport.left_over)


def _predict_redis(model: Model, args: argparse.Namespace) -> int:
    redis = config.from_args(config.RedisConfig, args)
    settings = read_settings(model, args, redis)

    from segkit.heartbeat import Heartbeat
    from segkit.loop import CODEC_THREADS, Loop
    from segkit.progress import Progress
    from segkit.shutdown import Shutdown
    from segkit.transports.redis_pubsub import PubSubTransport
    from segkit.transports.redis_stream import StreamTransport

    with Shutdown() as stop:
        form = model.message_format(settings.model)
        pipeline = settings.pipeline(model, decoder=form.decoder, encoder=form.encoder, address=form.address)
        kind = StreamTransport if redis.redis_mode == "stream" else PubSubTransport
        with Heartbeat(f"{model.name}_predict_redis") as heartbeat:  # it lives while it waits for its server, too
            transport = kind(redis, stop)
            heartbeat.probe = transport.check
            report = Progress(False, lambda: 0).report
            threads = 1 if form.in_order else CODEC_THREADS
            loop = Loop(transport, pipeline, settings.loop, stop, on_outcome=report, codec_threads=threads)
            if isinstance(transport, PubSubTransport):
                transport.count_refusals(loop.metrics.count)
            with measured(loop, settings.metrics):
                metrics = loop.run()
    if not settings.log.quiet:
        say(metrics.summary())
    return 0


def read_settings(model: Model, args: argparse.Namespace, *others: config.Config) -> Settings:
    """The common configs, checked together with those of the command; also starts the log."""
    settings = Settings(
        model=config.from_args(model.config, args),
        input=config.from_args(config.InputConfig, args),
        shape=config.from_args(config.ShapeConfig, args),
        loop=config.from_args(config.LoopConfig, args),
        metrics=config.from_args(config.MetricsConfig, args),
        log=config.from_args(config.LogConfig, args),
    )
    config.check(*vars(settings).values(), *others)

    from segkit import log

    log.set_up(settings.log)
    return settings


def _conclude(metrics: Metrics, folders: config.FolderConfig, left_over: Sequence[str]) -> int:
    """Says what needs attention after a run over a folder, and its exit code."""
    if folders.continuous:
        return 0
    if left_over:
        say(f"left in {folders.prediction_in}, the other file of the pair is missing: {', '.join(left_over[:10])}")
    if metrics.failed:
        say(f"failed inputs and the reasons (*.error.json) are in {folders.failed}")
        return SOME_FAILED
    return 0


@contextmanager
def watched(loop: Loop, settings: Settings, name: str, probe: Callable[[], None]) -> Iterator[None]:
    """Health and metrics of a worker for as long as it works."""
    from segkit.heartbeat import Heartbeat

    with Heartbeat(name, probe), measured(loop, settings.metrics):
        yield


@contextmanager
def measured(loop: Loop, metrics: config.MetricsConfig) -> Iterator[None]:
    """The metrics of a worker for as long as it works, if they are wanted.

    Raises:
        ConfigError: the port cannot be listened at.
    """
    with ExitStack() as stack:
        if metrics.metrics_port is not None:
            host, port = metrics.metrics_host, metrics.metrics_port
            try:
                stack.callback(loop.metrics.serve(host, port))
            except OSError as error:
                raise ConfigError([f"--metrics_port: {host}:{port}: {error.strerror}; choose another one"]) from None
        yield


def say(text: str) -> None:
    """One line for people, on standard error."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201
