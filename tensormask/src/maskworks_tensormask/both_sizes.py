"""A TensorMask model for a server that gets images to resize and images to leave as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from maskworks.predictor import Result
from maskworks.types import Request
from maskworks_tensormask.adapter import TensorMaskPredictor
from maskworks_tensormask.model_endpoint import RawRequest


class BothSizes:
    """One model, two ways into it.

    Args:
        predictor: resizes images as the model's config says.
    """

    def __init__(self, predictor: TensorMaskPredictor) -> None:
        self._resizing, self._raw = predictor, predictor.without_resizing()

    @property
    def segmenter(self) -> Mapping[str, Any]:
        return self._resizing.segmenter

    def predict(self, requests: Sequence[Request]) -> list[Result]:
        """The objects of each image. That of a `RawRequest` goes in as it is, all others as the config says."""
        found: dict[int, Result] = {}
        for raw, predictor in ((True, self._raw), (False, self._resizing)):
            chosen = [number for number, request in enumerate(requests) if isinstance(request, RawRequest) == raw]
            if chosen:
                answers = predictor.predict([requests[number] for number in chosen])
                found.update(zip(chosen, answers, strict=True))
        return [found[number] for number in range(len(requests))]
