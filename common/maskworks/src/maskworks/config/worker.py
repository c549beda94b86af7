"""The settings of every worker: images, polygons, model, batches, monitoring, messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from maskworks.config.flag import Config, flag, switch

MEBIBYTE = 1024 * 1024
PRECISIONS = ("auto", "fp32", "bf16", "fp16")


@dataclass(frozen=True, kw_only=True)
class InputConfig(Config):
    """What is accepted as an image.

    `max_bytes` counts the file, `max_pixels` width times height from its header, `decode_timeout` processor time.
    `max_mask_pixels` counts width times height times the objects that the prompt asks for: the memory of their masks is
    an eighth of it in bytes at most.
    """

    max_bytes: int = flag("N", "largest image file in bytes", 64 * MEBIBYTE, kind=int, least=1)
    max_pixels: int = flag("N", "largest image in pixels, read from its header", 100_000_000, kind=int, least=1)
    max_mask_pixels: int = flag(
        "N", "most pixels of an image times objects asked for in it", 8_000_000_000, kind=int, least=1
    )
    decode_timeout: float = flag(
        "S", "seconds of processor time after which the decoding of an image is given up", 10.0, kind=float, least=0.01
    )
    exif: str = flag("ignore|apply", "what to do about an EXIF orientation", "ignore", choices=("ignore", "apply"))


@dataclass(frozen=True, kw_only=True)
class ShapeConfig(Config):
    """How masks become rings: `simplify` in pixels of distance, `min_area` in pixels of area."""

    simplify: float = flag("PX", "how far a polygon may leave the exact outline", 0.0, kind=float, least=0)
    min_area: float = flag("PX", "drop parts of a mask with fewer pixels", 0.0, kind=float, least=0)


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Config):
    """Where and how a model runs. Model packages add their own fields in a subclass."""

    device: str = flag("DEVICE", "auto (the first GPU, else the CPU), cpu, cuda:0, ...", "auto")
    precision: str = flag(
        "|".join(PRECISIONS), "auto is bf16 where the hardware has it, else fp32", "auto", choices=PRECISIONS
    )
    compile: bool = switch("compile the network first: slow start, then faster")


@dataclass(frozen=True, kw_only=True)
class LoopConfig(Config):
    """How work is put together: `batch_size` requests at most, waiting `batch_wait_ms` at most for more of them."""

    batch_size: int = flag("N", "most images in one run of the model", 1, kind=int, least=1)
    batch_wait_ms: float = flag("MS", "longest wait for more images to fill a batch", 0.0, kind=float, least=0)


@dataclass(frozen=True, kw_only=True)
class MetricsConfig(Config):
    """How a worker is watched: where Prometheus may ask, nowhere if `metrics_port` is None, and its health."""

    metrics_port: int | None = flag("PORT", "answer Prometheus at this port (default: off)", None, kind=int)
    metrics_host: str = flag("HOST", "address to answer Prometheus at", "127.0.0.1")
    stuck_after: float = flag(
        "S", "seconds in the model with one batch after which --check fails", 600.0, kind=float, least=0.001
    )

    def problems(self) -> Iterator[str]:
        if self.metrics_port is not None and not 0 <= self.metrics_port < 65536:
            yield f"--metrics_port: {self.metrics_port} is no port; expected 0 to 65535"
        yield from super().problems()


@dataclass(frozen=True, kw_only=True)
class LogConfig(Config):
    """What is said, and how: `verbose` adds details, `quiet` leaves only warnings and errors."""

    verbose: bool = switch("say more")
    quiet: bool = switch("say nothing but warnings and errors")
    log_format: str = flag("text|json", "lines for people, or a JSON object a line", "text", choices=("text", "json"))

    @property
    def for_people(self) -> bool:
        """Whether a progress bar is welcome."""
        return not self.quiet and self.log_format == "text"

    def problems(self) -> Iterator[str]:
        if self.verbose and self.quiet:
            yield "--verbose and --quiet exclude each other; give one of them"
        yield from super().problems()
