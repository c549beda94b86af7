"""Polygons as OPEX, the object predictions exchange format, through the library that defines it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from opex import BBox, ObjectPrediction, ObjectPredictions, Polygon

from maskworks.geometry import bounding_box
from maskworks.types import Instance, Prediction, Region
from maskworks.wire import jsontext


def encode_opex(
    prediction: Prediction,
    timestamp: str | None = None,
    *,
    model_boxes: bool = False,
    facts: Callable[[Region], Mapping[str, str]] | None = None,
) -> bytes:
    """The OPEX text of a prediction: one object per outer ring, UTF-8 JSON.

    Args:
        prediction: the instances with their regions, in the image's coordinates.
        timestamp: when the work was done, by default now, as `YYYY-MM-DD HH:MM:SS.ffffff` of local time.
        model_boxes: whether `bbox` is the model's own box, rounded, where it has one, instead of that of the ring.
        facts: what else stands in the `meta` of a region's object.
    """
    predictions = ObjectPredictions(
        id=_valid_text(str(prediction.request.id)),
        timestamp=timestamp or str(datetime.now()),
        objects=list(_objects(prediction, model_boxes, facts or (lambda region: {}))),
        meta=_as_text(prediction.meta),
    )
    return jsontext.write(predictions.to_dict())


def _objects(
    prediction: Prediction, model_boxes: bool, facts: Callable[[Region], Mapping[str, str]]
) -> Iterator[ObjectPrediction]:
    for index, (instance, regions) in enumerate(zip(prediction.instances, prediction.regions, strict=True)):
        for region in regions:
            yield _object(index, instance, region, model_boxes, facts(region))


def _object(
    index: int, instance: Instance, region: Region, model_box: bool, facts: Mapping[str, str]
) -> ObjectPrediction:
    if model_box and instance.box is not None:
        left, top, right, bottom = (round(value) for value in instance.box.tolist())
    else:
        left, top, right, bottom = bounding_box(region.outer)
    meta = {"object": str(index), **facts}
    if region.holes:
        meta["holes"] = jsontext.write(region.holes).decode()
    return ObjectPrediction(
        score=instance.score,
        label=instance.name,
        bbox=BBox(left=left, top=top, right=right, bottom=bottom),
        polygon=Polygon(points=region.outer),
        meta=meta,
    )


def _as_text(meta: Mapping[str, Any]) -> dict[str, str]:
    """OPEX allows strings only: everything else is put in as JSON text."""
    return {key: value if isinstance(value, str) else jsontext.write(value).decode() for key, value in meta.items()}


def _valid_text(text: str) -> str:
    """File names may hold bytes that are no text; they are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
