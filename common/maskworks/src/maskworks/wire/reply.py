"""Replies on Redis and HTTP: `{"mask", "contours", "meta"}`, or `{"error", "id", "meta"}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from maskworks.errors import BadImage, BadJson, ImageTooLarge, RequestError
from maskworks.geometry import fill
from maskworks.types import NAMELESS, Bytes, Instance, Instances, Name, Points, Prediction, Region, Request
from maskworks.wire import base64text, jsontext
from maskworks.wire.mask_png import decode_mask, encode_mask
from maskworks.wire.prompt import parse_prompt

_FARTHEST = 1 << 16  # pixels that a contour may lie beside the mask
_OBJECTS = 1000  # that there may be without being described: objects without pixels have no contour


def encode_reply(prediction: Prediction) -> bytes:
    """The JSON reply of a prediction.

    `contours` lists the outer rings of all instances; `meta.contours` says for each the instance that it belongs to
    and its holes, if it has some.
    """
    regions = [(index, region) for index, parts in enumerate(prediction.regions) for region in parts]
    details = [
        {"object": index, "holes": region.holes} if region.holes else {"object": index} for index, region in regions
    ]
    reply: dict[str, Any] = {
        "mask": base64text.encode(encode_mask(prediction.mask)),
        "contours": [region.outer for _, region in regions],
        "meta": {**prediction.meta, "contours": details},
    }
    if prediction.request.named:
        reply["id"] = prediction.request.id
    return jsontext.write(reply)


def encode_error(error: RequestError, name: Name | None = None, meta: Mapping[str, Any] | None = None) -> bytes:
    """The JSON text that answers a request which failed; `name` is the id that the requester gave it."""
    return jsontext.write(
        {"error": {"code": error.code, "message": error.message}, "id": name, "meta": dict(meta or {})}
    )


def decode_reply(text: bytes, name: str, image: Bytes | None = None) -> Prediction:
    """What a client makes of a reply, also of one without `meta.contours`, as older workers send it.

    Args:
        text: the JSON reply.
        name: the id that results get if the reply has none.
        image: (H, W, 3) uint8 RGB that the reply is about, if it is at hand.

    Raises:
        BadJson: it is not a reply.
        BadPrompt: the prompt in it is none.
    """
    reply = jsontext.read_object(text, "reply")
    try:
        mask, meta = decode_mask(base64text.decode(reply["mask"])), dict(reply.get("meta", {}))
        parts = _regions(reply["contours"], meta, mask.shape)
    except (BadImage, ImageTooLarge) as error:
        raise BadJson(f"reply: {error.message}") from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadJson(f"reply: {type(error).__name__}: {error}; expected mask, contours and meta") from None
    prompt = meta.get("prompt")
    prompts = parse_prompt(prompt) if isinstance(prompt, dict) and image is not None else ()
    canvas = np.zeros((*mask.shape, 3), np.uint8) if image is None else image
    request = Request(str(reply.get("id", name)), canvas, prompts, prompt)
    names = _names(meta.get("objects"), len(parts))
    instances = Instances(_instance(regions, mask, name) for regions, name in zip(parts, names, strict=True))
    return Prediction(request, tuple(instances), parts, mask, {k: v for k, v in meta.items() if k != "contours"})


def _regions(contours: list[Any], meta: dict[str, Any], shape: tuple[int, ...]) -> tuple[tuple[Region, ...], ...]:
    """The regions of each object."""
    rings = [_ring(ring, shape) for ring in contours]
    details = meta.get("contours", [{}] * len(rings))
    count = max(_OBJECTS, len(rings), len(meta.get("objects", ())))
    regions: dict[int, list[Region]] = {}
    for ring, detail in zip(rings, details, strict=True):
        index = detail.get("object", 0)
        if not isinstance(index, int) or not 0 <= index < count:
            raise ValueError(f"a contour of object {index}, of {count}")
        holes = tuple(_ring(hole, shape) for hole in detail.get("holes", ()))
        regions.setdefault(index, []).append(Region(ring, holes))
    return tuple(tuple(regions.get(index, ())) for index in range(max(regions, default=-1) + 1))


def _ring(points: Any, shape: tuple[int, ...]) -> Points:
    """(N, 2) int32 of [x, y] in the mask or near it."""
    ring = np.array(points, np.int32).reshape(-1, 2)
    if not len(ring) or np.abs(ring.astype(np.int64)).max() > _FARTHEST + max(shape):
        raise ValueError("a contour that is empty or far away")
    return ring


def _names(facts: Any, count: int) -> list[str]:
    """What each object is called: by the facts about it, else as usual."""
    named = facts if isinstance(facts, list) else []
    found = [fact.get("name") if isinstance(fact, dict) else None for fact in named[:count]]
    return [name if isinstance(name, str) else NAMELESS for name in [*found, *[None] * (count - len(found))]]


def _instance(regions: tuple[Region, ...], mask: Bytes, name: str) -> Instance:
    """The object that these rings describe, as the part of the image that they are in."""
    points = np.concatenate([region.outer for region in regions] or [np.zeros((1, 2), np.int32)])
    beyond = mask.shape[::-1]
    x0, y0 = np.clip(points.min(axis=0), 0, beyond).tolist()
    x1, y1 = np.clip(points.max(axis=0) + 1, 0, beyond).tolist()
    return Instance(fill(regions, (y1 - y0, x1 - x0), (x0, y0)), (x0, y0), label=_label(mask, regions), name=name)


def _label(mask: Bytes, regions: tuple[Region, ...]) -> int:
    """The palette index of an object: that of its first pixel which no later object covers, else 1."""
    for region in regions:
        x, y = region.outer[0].tolist()
        if 0 <= y < mask.shape[0] and 0 <= x < mask.shape[1] and mask[y, x]:
            return int(mask[y, x])
    return 1
