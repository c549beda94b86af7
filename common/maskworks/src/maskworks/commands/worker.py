"""What all workers have: settings, the pipeline around the loaded model, health and metrics."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from maskworks import config
from maskworks.commands.model import Model
from maskworks.errors import DeviceError, OutOfMemory
from maskworks.memory_errors import memory_errors

if TYPE_CHECKING:
    from maskworks.liveness import Liveness
    from maskworks.loop import Loop
    from maskworks.pipeline import Pipeline
    from maskworks.shutdown import Shutdown


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The configs that all workers have."""

    model: config.ModelConfig
    input: config.InputConfig
    shape: config.ShapeConfig
    loop: config.LoopConfig
    metrics: config.MetricsConfig
    log: config.LogConfig

    def liveness(self) -> Liveness:
        """What a main loop tells how it is."""
        from maskworks.liveness import Liveness

        return Liveness(self.metrics.stuck_after)

    @contextmanager
    def pipeline(self, model: Model, stop: Shutdown) -> Iterator[Pipeline]:
        """The pipeline around the loaded model, with decoder processes that start beside its loading.

        A signal interrupts the loading.

        From here on this process keeps the memory that it frees, as images and networks need the same again and again.

        Raises:
            DeviceError: the model is larger than the device's memory.
        """
        from maskworks.freed_memory import keep_freed_memory
        from maskworks.images.decoder_pool import new_decoder
        from maskworks.pipeline import Pipeline

        keep_freed_memory()
        with new_decoder(self.input, stop) as decoder:
            try:
                with memory_errors(), stop.interrupting():
                    predictor = model.load(self.model)
            except OutOfMemory:
                raise DeviceError(
                    f"--device {self.model.device}: its memory does not hold the model; "
                    "stop what else uses it, or choose another device"
                ) from None
            yield Pipeline(predictor=predictor, decoder=decoder, shape_config=self.shape)


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

    from maskworks import log

    log.set_up(settings.log)
    return settings


@contextmanager
def watched(loop: Loop, settings: Settings, name: str, probe: Callable[[], None], liveness: Liveness) -> Iterator[None]:
    """Health and metrics of a worker for as long as it works."""
    from maskworks.heartbeat import Heartbeat

    with Heartbeat(name, probe, liveness), measured(loop, settings.metrics):
        yield


@contextmanager
def measured(loop: Loop, metrics: config.MetricsConfig) -> Iterator[None]:
    """The metrics of a worker for as long as it works, if they are wanted.

    Raises:
        ConfigError: the address cannot be listened at.
    """
    if metrics.metrics_port is None:
        yield
        return
    from prometheus_client import CollectorRegistry

    from maskworks.transports.http.metrics_server import metrics_server

    registry = CollectorRegistry()
    registry.register(loop.metrics)
    with metrics_server(metrics.metrics_host, metrics.metrics_port, registry):
        yield
