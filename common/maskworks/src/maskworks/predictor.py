"""The interface of a model to the pipeline: an adapter with one method, or with a second one for long work."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from maskworks.errors import RequestError
from maskworks.types import Instance, Request

Result = list[Instance] | RequestError
# Work on one request: it stops between chunks of work, where it may be given up, and returns what `predict` does.
Work = Generator[None, None, Result]


class Predictor(Protocol):
    """A loaded model with a frozen config. It keeps nothing of an image, so calls cannot influence each other."""

    @property
    def segmenter(self) -> Mapping[str, Any]:
        """The model for `meta.segmenter`: at least its `type`."""
        ...

    def predict(self, requests: Sequence[Request]) -> Sequence[Result]:
        """The instances of each request, or the error that this one request gets, in the order of the requests.

        An exception means that the batch failed as a whole. It is then tried again in halves, down to single
        requests; only a request that fails alone is answered with an error.
        `OutOfMemory` is raised where the model's own library reports it.
        """
        ...


@runtime_checkable
class StepwisePredictor(Predictor, Protocol):
    """A predictor that works on a request in chunks, so that others may go first and the request may be given up."""

    def start(self, requests: Sequence[Request]) -> Sequence[Work]:
        """Begins to work on requests, with what is done best for all of them together; one generator for each.

        It fails like `predict`. A generator raises the error that its request gets, and leaves nothing behind if it is
        closed. Each of its steps should take far less than a second.
        """
        ...
