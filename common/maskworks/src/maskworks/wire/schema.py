"""JSON Schema of what is read and written: prompts, messages, replies, errors and OPEX.

Names and limits are those of the readers, `wire.prompt` and `wire.request`. A test sends examples of all forms to
every model and holds the schema against the answers.
"""

from __future__ import annotations

from typing import Any

from maskworks.wire.prompt import LARGEST_COORDINATE, LONGEST_NAME, MOST_CLICKS, MOST_OBJECTS, MOST_POINTS
from maskworks.wire.prompt_aliases import LONGEST_WORDS, MASK_CHOICES, PLACES, SWITCHES
from maskworks.wire.prompt_keys import CORNERS, RESERVED, WHERE

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NAME: Schema = {"type": ["string", "integer"], "description": "comes back as it came"}
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
_NAME: Schema = {
    "type": ["string", "null"],
    "minLength": 1,
    "maxLength": LONGEST_NAME,
    "description": "what the object is called in OPEX, printable characters",
}
_MASK_CHOICE: Schema = {
    "enum": [*MASK_CHOICES, None],
    "description": "which of its masks Segment Anything answers with; meta.ignored lists it elsewhere",
}
# What other programs call a key of prompts is refused unless it is empty or about something else; the rest is reserved.
_REFUSED: Schema = {
    "patternProperties": {
        "^({})$".format("|".join(name for names in PLACES.values() for name in names)): {
            "maxLength": LONGEST_WORDS,
            "maxProperties": 0,
            "anyOf": [{"not": {"type": "array"}}, {"maxItems": 0}, {"prefixItems": [TEXT]}],
        },
        "^({})$".format("|".join(name for names in SWITCHES.values() for name in names)): {"type": "null"},
        f"^{RESERVED}$": {"type": "null"},
    }
}
_LOW_RES_LOGITS: Schema = {"type": "boolean", "description": "whether meta.objects is to have the mask's logits"}


def prompt_schemas(*, clicks: bool) -> dict[str, Schema]:
    """The components `Prompt`, all objects of an image, and `ObjectPrompt`, one of them.

    Args:
        clicks: for models that take clicks and logits, too; all take extreme points and boxes.
    """
    beside = {**_without(*WHERE, "low_res_logits", "label"), **_REFUSED}
    objects: Schema = {
        "type": "array",
        "items": {"$ref": "#/components/schemas/ObjectPrompt"},
        "minItems": 1,
        "maxItems": MOST_OBJECTS,
    }
    several: Schema = {
        "type": "object",
        "required": ["objects"],
        "properties": {"objects": objects, "mask_choice": _MASK_CHOICE},
        **beside,
    }
    return {
        "ObjectPrompt": _object_prompt(clicks),
        "Prompt": {"anyOf": [{"$ref": "#/components/schemas/ObjectPrompt"}, several]},
    }


def message_schema(needs_prompt: bool) -> Schema:
    """The JSON message with an image; a prompt stands under `prompt` or beside the image."""
    image: Schema = {**BASE64, "description": "an image file"}
    reply_to: Schema = {**TEXT, "description": "channel or stream for the answer; over HTTP without effect"}
    message: Schema = {
        "type": "object",
        "required": ["image"],
        "properties": {"image": image, "id": NAME, "reply_to": reply_to},
    }
    if not needs_prompt:
        return message
    apart: Schema = {"required": ["prompt"], "properties": {"prompt": PROMPT}, **_REFUSED}
    apart |= _without(*WHERE, "objects", "mask_choice")
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
            "id": NAME,
        },
    }


def error_schema() -> Schema:
    """The component `Error`."""
    error: Schema = {"type": "object", "required": ["code", "message"], "properties": {"code": TEXT, "message": TEXT}}
    return {
        "type": "object",
        "required": ["error", "id", "meta"],
        "properties": {"error": error, "id": {"type": ["string", "integer", "null"]}, "meta": {"type": "object"}},
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
    properties: Schema = {"label": _LABEL, "name": _NAME, "mask_choice": _MASK_CHOICE}
    if not clicks:
        refused = [{"required": [key]} for key in ("mask_input", "objects")]
        wrong: Schema = {"required": ["low_res_logits"], "properties": {"low_res_logits": {"not": _LOW_RES_LOGITS}}}
        return {
            "type": "object", "properties": properties, "anyOf": [points, box], "not": {"anyOf": [*refused, wrong]},
            **_REFUSED,
        }  # fmt: skip
    clicked: Schema = {"required": ["points"], "properties": {"points": _CLICKS, "box": _BOX}}
    logits: Schema = {"required": ["mask_input"], **_without("points", "box")}
    properties |= {"mask_input": _MASK_INPUT, "low_res_logits": _LOW_RES_LOGITS}
    anyone = [points, box, clicked, logits]
    return {"type": "object", "properties": properties, "anyOf": anyone, **_without("objects"), **_REFUSED}


def _without(*keys: str) -> Schema:
    """That an object has none of these keys."""
    return {"not": {"anyOf": [{"required": [key]} for key in keys]}}
