"""JSON Schema of what is read and written: prompts, messages, replies, errors and OPEX.

Names and limits are those of the readers, `wire.prompt` and `wire.request`. A test sends examples of all forms to
every model and holds the schema against the answers.
"""

from __future__ import annotations

from typing import Any

from maskworks.wire.prompt import CORNERS, LARGEST_COORDINATE, MOST_CLICKS, MOST_OBJECTS, MOST_POINTS, WHERE

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
BASE64: Schema = {"type": "string", "contentEncoding": "base64"}
PROMPT: Schema = {"$ref": "#/components/schemas/Prompt"}

_NUMBER: Schema = {"type": "number"}
_COORDINATE: Schema = {"type": "number", "minimum": -LARGEST_COORDINATE, "maximum": LARGEST_COORDINATE}
_PAIR: Schema = {"type": "array", "items": _COORDINATE, "minItems": 2, "maxItems": 2}
_VERTEX: Schema = {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}
_LABEL: Schema = {"type": "integer", "minimum": 1, "maximum": 255, "description": "palette index in the mask"}
_CLICK: Schema = {
    "type": "object",
    "required": ["x", "y", "label"],
    "properties": {"x": _COORDINATE, "y": _COORDINATE, "label": {"enum": [0, 1]}},
}
_EXTREME_POINTS: Schema = {
    "type": "array",
    "items": _PAIR,
    "minItems": 4,
    "maxItems": MOST_POINTS,
    "description": "the extreme points of an object, [x, y], in any order",
}
_CLICKS: Schema = {
    "type": "array",
    "items": _CLICK,
    "minItems": 1,
    "maxItems": MOST_CLICKS,
    "description": "clicks on the object (label 1) and on background (label 0)",
}
_BOX: Schema = {"type": "object", "required": list(CORNERS), "properties": dict.fromkeys(CORNERS, _COORDINATE)}
_MASK_INPUT: Schema = {**BASE64, "description": "low_res_logits of an earlier answer, to start from"}
_LOW_RES_LOGITS: Schema = {"type": "boolean", "description": "whether meta.objects is to have the mask's logits"}


def prompt_schemas(*, clicks: bool) -> dict[str, Schema]:
    """The components `Prompt`, all objects of an image, and `ObjectPrompt`, one of them.

    Args:
        clicks: for models that take clicks and logits, too; all take extreme points and boxes.
    """
    beside = _without(*WHERE, "low_res_logits", "label")
    objects: Schema = {
        "type": "array",
        "items": {"$ref": "#/components/schemas/ObjectPrompt"},
        "minItems": 1,
        "maxItems": MOST_OBJECTS,
    }
    several: Schema = {"type": "object", "required": ["objects"], "properties": {"objects": objects}, **beside}
    return {
        "ObjectPrompt": {**_object_prompt(clicks), **_without("objects")},
        "Prompt": {"anyOf": [{"$ref": "#/components/schemas/ObjectPrompt"}, several]},
    }


def message_schema(needs_prompt: bool) -> Schema:
    """The JSON message with an image; a prompt stands under `prompt` or beside the image."""
    image: Schema = {**BASE64, "description": "an image file"}
    reply_to: Schema = {**TEXT, "description": "channel or stream for the answer; over HTTP without effect"}
    message: Schema = {
        "type": "object",
        "required": ["image"],
        "properties": {"image": image, "id": TEXT, "reply_to": reply_to},
    }
    if not needs_prompt:
        return message
    apart: Schema = {"required": ["prompt"], "properties": {"prompt": PROMPT}}
    return {**message, "oneOf": [apart, {"allOf": [PROMPT, _without("prompt")]}]}


def reply_schema() -> Schema:
    """The component `Reply`."""
    return {
        "type": "object",
        "required": ["mask", "contours", "meta"],
        "properties": {
            "mask": {**BASE64, "description": "a palette PNG, index 0 is background"},
            "contours": {"type": "array", "items": {"type": "array", "items": _VERTEX, "minItems": 1}},
            "meta": {"type": "object"},
            "id": TEXT,
        },
    }


def error_schema() -> Schema:
    """The component `Error`."""
    error: Schema = {"type": "object", "required": ["code", "message"], "properties": {"code": TEXT, "message": TEXT}}
    return {
        "type": "object",
        "required": ["error", "id", "meta"],
        "properties": {"error": error, "id": {"type": ["string", "null"]}, "meta": {"type": "object"}},
    }


def opex_schema() -> Schema:
    """The component `Opex`."""
    sides = ("left", "top", "right", "bottom")
    box: Schema = {"type": "object", "required": list(sides), "properties": {key: {"type": "integer"} for key in sides}}
    polygon: Schema = {"type": "object", "properties": {"points": {"type": "array", "items": _VERTEX}}}
    found: Schema = {
        "type": "object",
        "required": ["label", "bbox", "polygon"],
        "properties": {"label": TEXT, "score": _NUMBER, "bbox": box, "polygon": polygon, "meta": {"type": "object"}},
    }
    return {
        "type": "object",
        "required": ["id", "timestamp", "objects"],
        "properties": {
            "id": TEXT,
            "timestamp": TEXT,
            "objects": {"type": "array", "items": found},
            "meta": {"type": "object"},
        },
    }


def _object_prompt(clicks: bool) -> Schema:
    points: Schema = {"required": ["points"], "properties": {"points": _EXTREME_POINTS}, **_without("box")}
    box: Schema = {"required": ["box"], "properties": {"box": _BOX}, **_without("points")}
    if not clicks:
        return {"type": "object", "properties": {"label": _LABEL}, "anyOf": [points, box]}
    clicked: Schema = {"required": ["points"], "properties": {"points": _CLICKS, "box": _BOX}}
    logits: Schema = {"required": ["mask_input"], **_without("points", "box")}
    properties = {"label": _LABEL, "mask_input": _MASK_INPUT, "low_res_logits": _LOW_RES_LOGITS}
    return {"type": "object", "properties": properties, "anyOf": [points, box, clicked, logits]}


def _without(*keys: str) -> Schema:
    """That an object has none of these keys."""
    return {"not": {"anyOf": [{"required": [key]} for key in keys]}}
