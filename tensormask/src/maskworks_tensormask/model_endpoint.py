"""`POST /model/`: JSON integers in, gzip of a saved dictionary out, as clients of the first server do it."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import IO, Any, ClassVar, cast

import numpy as np

from maskworks.geometry import overlap
from maskworks.transports.http.media import GZIP, JSON
from maskworks.types import Address, ImageDecoder, Job, Prediction, Request
from maskworks_tensormask.image_text import KEY, read_image

PATH = "/model/"
_TEXT_PER_BYTE = 5  # a value of three digits, a comma and a space


@dataclass(frozen=True, slots=True, eq=False)
class RawRequest(Request):
    """A request whose image goes into the network as it is, not resized."""


class ModelEndpoint:
    """The requests of old; the answer does not depend on the headers."""

    path = PATH

    @property
    def operation(self) -> Mapping[str, Any]:
        return _OPERATION

    def most_bytes(self, media_type: str, max_bytes: int) -> int:
        return _TEXT_PER_BYTE * max_bytes

    def format(self, content_type: str, accept: str, accept_encoding: str, query: Mapping[str, str]) -> SavedTensors:
        return SavedTensors(query.get("id"))


@dataclass(frozen=True)
class SavedTensors:
    """JSON with the image as nested lists in, a gzipped file of `torch.save` out.

    Attributes:
        name: the id that the requester gave in the URL.
    """

    name: str | None
    headers: ClassVar[Mapping[str, str]] = {"Content-Type": GZIP}

    def read(self, job: Job, decoder: ImageDecoder) -> Request:
        """See `read_image` for the errors."""
        image = read_image(job.body, decoder.limits)
        height, width = image.shape[:2]
        return RawRequest(job.id, image, image_meta={"width": width, "height": height, "format": "JSON"})

    def write(self, prediction: Prediction) -> Mapping[str, bytes]:
        return {"reply": encode_saved(prediction)}

    def address(self, job: Job) -> Address:
        return Address(self.name)


def encode_saved(prediction: Prediction) -> bytes:
    """The detections as a gzipped file of `torch.save`: a dictionary of tensors for n objects by falling score.

    `pred_masks` bool (n, H, W), `scores` float32 (n,), `pred_boxes` float32 (n, 4) of x0, y0, x1, y1 in pixels, and
    `pred_classes` int64 (n,), counted from 0. With nothing found n is 0.
    """
    import torch  # here, so that wrong flags are answered at once

    found = prediction.instances
    masks = np.zeros((len(found), *prediction.request.size), bool)
    for mask, instance in zip(masks, found, strict=True):
        pixels = instance.pixels()
        if pixels is not None:
            target, source = overlap(pixels.shape, instance.offset, mask.shape)
            mask[target] = pixels[source]
    boxes = [np.zeros(4) if instance.box is None else instance.box for instance in found]
    saved = {
        "pred_masks": torch.from_numpy(masks),
        "scores": torch.tensor([instance.score or 0.0 for instance in found], dtype=torch.float32),
        "pred_boxes": torch.tensor(np.reshape(boxes, (-1, 4)), dtype=torch.float32),
        "pred_classes": torch.tensor([instance.meta.get("class", 0) for instance in found], dtype=torch.int64),
    }
    buffer = BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1, mtime=0) as file:
        torch.save(saved, cast("IO[bytes]", file))
    return buffer.getvalue()


_CHANNEL = {"type": "array", "items": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 255}}}
_OPERATION = {
    "summary": "Finds the objects in an image that is sent as numbers",
    "operationId": "model",
    "requestBody": {
        "required": True,
        "content": {
            JSON: {
                "schema": {
                    "type": "object",
                    "required": [KEY],
                    "properties": {
                        KEY: {
                            "type": "array",
                            "items": _CHANNEL,
                            "minItems": 3,
                            "maxItems": 3,
                            "description": "blue, green and red, each a list of rows; it is not resized",
                        }
                    },
                }
            }
        },
    },
    "responses": {
        "200": {
            "description": "gzip of a file of torch.save: pred_masks, scores, pred_boxes and pred_classes by name",
            "content": {GZIP: {"schema": {"type": "string", "format": "binary"}}},
        }
    },
}
