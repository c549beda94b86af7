"""Replies on Redis and HTTP: `{"mask", "contours", "meta"}`, or `{"error", "id", "meta"}`."""

from __future__ import annotations

import base64
from typing import Any

from segkit.errors import RequestError
from segkit.types import Outcome, Prediction
from segkit.wire import jsontext
from segkit.wire.image import encode_mask


def encode_reply(prediction: Prediction) -> bytes:
    """The JSON reply of a prediction.

    `contours` lists the outer rings of all instances; `meta.contours` says for each the instance that it belongs to
    and its holes, if it has some.
    """
    regions = [(index, region) for index, parts in enumerate(prediction.regions) for region in parts]
    details = [
        {"object": index, "holes": [hole.tolist() for hole in region.holes]} if region.holes else {"object": index}
        for index, region in regions
    ]
    reply: dict[str, Any] = {
        "mask": base64.b64encode(encode_mask(prediction.mask)).decode("ascii"),
        "contours": [region.outer.tolist() for _, region in regions],
        "meta": {**prediction.meta, "contours": details},
    }
    if prediction.request.named:
        reply["id"] = prediction.request.id
    return jsontext.write(reply)


def encode_error(error: RequestError, outcome: Outcome) -> bytes:
    """The JSON text that answers a request which failed."""
    return jsontext.write(
        {"error": {"code": error.code, "message": error.message}, "id": outcome.id, "meta": dict(outcome.meta)}
    )
