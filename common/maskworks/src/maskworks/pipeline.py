"""decode -> predict -> encode: bytes in, bytes out. No file, no socket, no thread."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from maskworks.config import ShapeConfig
from maskworks.drawing import check_masks, draw
from maskworks.errors import Internal, OutOfMemory, RequestError, TimedOut
from maskworks.images.reader import InProcessDecoder
from maskworks.predictor import Predictor, Result, StepwisePredictor, Work
from maskworks.types import MOST_LABELS, ImageDecoder, Instance, Instances, Job, Outcome, Prediction, Request

log = logging.getLogger(__name__)

Value = TypeVar("Value")


@dataclass(slots=True, eq=False)
class Decoded:
    """A job on its way: its request once it is decoded, the error once something failed, and the times it took."""

    job: Job
    request: Request | None = None
    error: RequestError | None = None
    timing_ms: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """Turns jobs into outcomes with a model.

    Each step turns errors into answers, so no step raises because of a request.

    Attributes:
        predictor: the model.
        decoder: turns image files into pixels.
        shape_config: how masks become rings.
    """

    predictor: Predictor
    decoder: ImageDecoder = field(default_factory=InProcessDecoder)
    shape_config: ShapeConfig = field(default_factory=ShapeConfig)

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """All steps for one batch, one after the other."""
        decoded = [self.decode(job) for job in jobs]
        found = self.predict(decoded)
        return [self.encode(item, instances) for item, instances in zip(decoded, found, strict=True)]

    def decode(self, job: Job) -> Decoded:
        """First step: from bytes to arrays."""
        item = Decoded(job, error=job.error or unwanted(job))
        if item.error is None:
            with _timed(item, "decode"):
                decoder = self.decoder.watched(partial(unwanted, job))
                outcome = _answered(lambda: check_masks(job.format.read(job, decoder), decoder.limits))
            if isinstance(outcome, RequestError):
                item.error = outcome
            else:
                item.request = outcome
        return item

    def predict(self, batch: Sequence[Decoded]) -> list[Result]:
        """Second step: the model, on those of a batch that could be decoded."""
        return self._second(batch, self.predictor.predict)

    def begin(self, batch: Sequence[Decoded]) -> Sequence[Result | Work]:
        """Second step in chunks, if the model works like that: `advance` goes on. Otherwise it is `predict`."""
        predictor = self.predictor
        return self._second(batch, predictor.start) if isinstance(predictor, StepwisePredictor) else self.predict(batch)

    def advance(self, item: Decoded, work: Work) -> Result | None:
        """A chunk of the second step: what was found once it has ended, before that None."""

        def chunk() -> Result | None:
            try:
                next(work)
            except StopIteration as end:
                found: Result = end.value
                return found
            return None

        start = time.perf_counter()
        found = _answered(chunk)
        item.timing_ms["predict"] += 1000 * (time.perf_counter() - start)
        return found

    def encode(self, item: Decoded, found: Result) -> Outcome:
        """Last step: from arrays to bytes."""
        request, error = item.request, unwanted(item.job)
        if request is None or error is not None or isinstance(found, RequestError):
            return self._failed(item, found if isinstance(found, RequestError) else error or Internal("not decoded"))
        parts = _answered(lambda: item.job.format.write(self._prediction(item, request, found)))
        if isinstance(parts, RequestError):
            return self._failed(item, parts)
        return Outcome(
            parts=parts,
            id=request.id if request.named else None,
            reply_to=request.reply_to,
            objects=len(found),
            timing_ms=item.timing_ms,
        )

    @staticmethod
    def _second(
        batch: Sequence[Decoded], call: Callable[[Sequence[Request]], Sequence[Value]]
    ) -> list[Value | RequestError]:
        """What a call of the model gives for each of a batch, or the error of what was not decoded."""
        good = [item for item in batch if item.request is not None]
        start = time.perf_counter()
        found = iter(_halved(call, [item.request for item in good if item.request is not None]))
        elapsed = 1000 * (time.perf_counter() - start)
        for item in good:
            item.timing_ms["predict"] = elapsed
        return [item.error or Internal("not decoded") if item.request is None else next(found) for item in batch]

    def _prediction(self, item: Decoded, request: Request, found: Sequence[Instance]) -> Prediction:
        together = found if isinstance(found, Instances) else Instances(found)
        with _timed(item, "contours"):
            drawn = draw(together, request.size, self.shape_config)
        _warn_of(request)
        meta = {**self._meta(item, request, drawn.instances), **together.meta}
        if ignored := [*request.ignored, *together.ignored]:
            meta["ignored"] = ignored
        return Prediction(request, drawn.instances, drawn.regions, drawn.mask, meta, together.best_first)

    def _meta(self, item: Decoded, request: Request, instances: Sequence[Instance]) -> dict[str, Any]:
        shared = sorted({one.palette_index for one in instances if one.label > MOST_LABELS})
        if shared:
            log.warning(
                "%s: labels beyond %d: %d palette indices of its mask stand for several (meta.shared_labels)",
                request.id, MOST_LABELS, len(shared),
            )  # fmt: skip
        return {
            "segmenter": dict(self.predictor.segmenter),
            **({} if request.source is None else {"prompt": request.source}),
            "image": dict(request.image_meta),
            "objects": [_facts(instance) for instance in instances],
            **({"shared_labels": shared} if shared else {}),
            "timing_ms": {stage: round(value, 2) for stage, value in item.timing_ms.items()},
            **request.remarks,
        }

    def _failed(self, item: Decoded, error: RequestError) -> Outcome:
        name, reply_to = item.job.format.address(item.job)
        return Outcome(
            error=error,
            id=name,
            reply_to=reply_to,
            meta={"segmenter": dict(self.predictor.segmenter)},
            timing_ms=item.timing_ms,
        )


def unwanted(job: Job) -> RequestError | None:
    """The error that ends a job which nobody waits for any more."""
    return TimedOut("nobody waits for the answer any more") if job.given_up.is_set() else None


def _halved(
    call: Callable[[Sequence[Request]], Sequence[Value]], requests: Sequence[Request]
) -> list[Value | RequestError]:
    """What a call of the model gives for each request; if the call fails, what it gives for its halves."""
    if not requests:
        return []
    found = _answered(lambda: _called(call, requests))
    if not isinstance(found, RequestError):
        return [*found]
    if len(requests) == 1:
        return [found]
    log.warning("a batch of %d failed (%s), trying its halves", len(requests), found.code)
    half = len(requests) // 2
    return _halved(call, requests[:half]) + _halved(call, requests[half:])


def _warn_of(request: Request) -> None:
    """Says in the log, too, what `meta` says about a prompt: few look there."""
    outside, hint = request.remarks.get("outside"), request.remarks.get("hint")
    if outside:
        more = f" and {len(outside) - 3} more" if len(outside) > 3 else ""
        log.warning("%s: outside of the image: %s%s (meta.outside)", request.id, ", ".join(outside[:3]), more)
    if hint:
        log.warning("%s: %s (meta.hint)", request.id, hint)


def _called(call: Callable[[Sequence[Request]], Sequence[Value]], requests: Sequence[Request]) -> Sequence[Value]:
    found = list(call(requests))
    if len(found) != len(requests):
        raise RuntimeError(f"the model answered {len(found)} of {len(requests)} requests")
    return found


def _facts(instance: Instance) -> dict[str, Any]:
    score = {} if instance.score is None else {"score": instance.score}
    return {"label": instance.palette_index, **score, **instance.meta}


def _answered(step: Callable[[], Value]) -> Value | RequestError:
    """The step's result, or the error that answers the request. The only place where everything is caught."""
    try:
        return step()
    except RequestError as error:
        # Its traceback holds the frames of what failed, and with them the memory that the next try needs.
        error.__traceback__ = error.__context__ = error.__cause__ = None
        return error
    except MemoryError:
        return OutOfMemory("the request does not fit into memory; send a smaller image or fewer objects at a time")
    except Exception as error:
        log.exception("a request failed")
        return Internal(f"{type(error).__name__}: {error}; see the log of the worker")


class _timed:
    """Adds the milliseconds of a block to an item's timings."""

    def __init__(self, item: Decoded, stage: str) -> None:
        self.item, self.stage = item, stage

    def __enter__(self) -> None:
        self.start = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.item.timing_ms[self.stage] = 1000 * (time.perf_counter() - self.start)
