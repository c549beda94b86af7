"""The interface of a model to the pipeline: an adapter with one method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from maskworks.errors import RequestError
from maskworks.types import Instance, Request

Result = list[Instance] | RequestError


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
