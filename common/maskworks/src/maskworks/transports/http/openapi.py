"""The description of the HTTP interface in OpenAPI 3.1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskworks import __version__
from maskworks.transports.http.media import ANY_IMAGE, JSON, MULTIPART, OPEX, PNG

Schema = dict[str, Any]

_NUMBER: Schema = {"type": "number"}
_PAIR: Schema = {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}
_RING: Schema = {"type": "array", "items": {**_PAIR, "items": {"type": "integer"}}, "minItems": 3}
_LABEL: Schema = {"type": "integer", "minimum": 1, "maximum": 255, "description": "palette index in the mask"}
_BASE64: Schema = {"type": "string", "contentEncoding": "base64"}
_FILE: Schema = {"type": "string", "format": "binary"}

_ERRORS = {
    "400": "bad_json, bad_prompt, bad_image: the request is wrong; the message says where",
    "401": "unauthorized: the token is missing or wrong",
    "406": "not_acceptable: no answer is of a type that Accept names",
    "408": "slow_upload: the request did not arrive in time",
    "413": "image_too_large: the body or the image is beyond a limit",
    "422": "unsupported_prompt: a valid prompt that this model cannot use",
    "500": "internal: a fault of the server or the model",
    "503": "overloaded: too much is waiting; try again after Retry-After seconds",
    "504": "timed_out: the answer was not ready in time",
    "507": "out_of_memory: the request does not fit into memory",
}


def describe(title: str, operations: Mapping[str, Mapping[str, Any]], *, with_token: bool) -> Schema:
    """The whole document.

    Args:
        title: what the server is called.
        operations: what each path that takes images by POST does, without the errors.
        with_token: whether requests have to show a bearer token.
    """
    errors = {status: _answer(text, {JSON: {"$ref": "#/components/schemas/Error"}}) for status, text in _ERRORS.items()}
    if not with_token:
        del errors["401"]
    secured: Schema = {"security": [{"token": []}]} if with_token else {}
    posts = {
        path: {"post": {**operation, **secured, "responses": {**operation["responses"], **errors}}}
        for path, operation in operations.items()
    }
    components: Schema = {"schemas": {"Error": _error(), "Prompt": _prompt(), "Reply": _reply(), "Opex": _opex()}}
    if with_token:
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": __version__},
        "paths": {**posts, **_about_the_server(secured)},
        "components": components,
    }


def predict_operation(needs_prompt: bool) -> Schema:
    """`POST /predict` of a model, with or without prompts."""
    prompt: Schema = {"$ref": "#/components/schemas/Prompt"}
    message: Schema = {
        "type": "object",
        "required": ["image"],
        "properties": {"image": _BASE64, "id": {"type": "string"}, **({"prompt": prompt} if needs_prompt else {})},
    }
    form: Schema = {"type": "object", "required": ["image"], "properties": {"image": _FILE}}
    parameters: list[Schema] = [
        {"name": "id", "in": "query", "schema": {"type": "string"}, "description": "comes back in the answer"}
    ]
    if needs_prompt:
        form = {**form, "required": ["image", "prompt"], "properties": {"image": _FILE, "prompt": prompt}}
        text = "the prompt as JSON, where the body is the image file alone"
        parameters.append({"name": "prompt", "in": "query", "content": {JSON: {"schema": prompt}}, "description": text})
    return {
        "summary": "Finds the objects in an image",
        "operationId": "predict",
        "parameters": parameters,
        "requestBody": {"required": True, "content": _content({ANY_IMAGE: _FILE, MULTIPART: form, JSON: message})},
        "responses": {
            "200": _answer(
                "what was found, in the form that Accept asks for",
                {
                    JSON: {"anyOf": [{"$ref": "#/components/schemas/Reply"}, {"$ref": "#/components/schemas/Opex"}]},
                    OPEX: {"$ref": "#/components/schemas/Opex"},
                    PNG: {**_FILE, "description": "the mask: a palette image, index 0 is background"},
                },
            )
        },
    }


def _about_the_server(secured: Schema) -> Schema:
    def get(summary: str, media_type: str, **more: Any) -> Schema:
        answers: Schema = {"200": _answer("yes", {media_type: {}})}
        if more.pop("may_fail", False):
            answers["503"] = _answer("not yet, not any more, or never: the reason stands in the answer", {JSON: {}})
        return {"get": {"summary": summary, **more, "responses": answers}}

    return {
        "/health": get("Whether the server answers", JSON),
        "/ready": get("Whether a prediction has passed since the server started", JSON, may_fail=True),
        "/metrics": get("Counts and times for Prometheus", "text/plain", **secured),
    }


def _answer(description: str, schemas: Mapping[str, Schema]) -> Schema:
    return {"description": description, "content": _content(schemas)}


def _content(schemas: Mapping[str, Schema]) -> Schema:
    return {media_type: {"schema": schema} for media_type, schema in schemas.items()}


def _error() -> Schema:
    error: Schema = {
        "type": "object",
        "required": ["code", "message"],
        "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
    }
    return {
        "type": "object",
        "required": ["error", "id", "meta"],
        "properties": {"error": error, "id": {"type": ["string", "null"]}, "meta": {"type": "object"}},
    }


def _prompt() -> Schema:
    click = {
        "type": "object",
        "required": ["x", "y", "label"],
        "properties": {"x": _NUMBER, "y": _NUMBER, "label": {"enum": [0, 1]}},
    }
    points = {
        "description": "the extreme points of an object, or clicks on it (label 1) and on background (label 0)",
        "oneOf": [
            {"type": "array", "items": _PAIR, "minItems": 4},
            {"type": "array", "items": click, "minItems": 1},
        ],
    }
    corners = ("x0", "y0", "x1", "y1")
    box = {"type": "object", "required": list(corners), "properties": dict.fromkeys(corners, _NUMBER)}
    objects = {"type": "array", "items": {"$ref": "#/components/schemas/Prompt"}, "minItems": 1, "maxItems": 255}
    return {"type": "object", "properties": {"points": points, "box": box, "objects": objects, "label": _LABEL}}


def _reply() -> Schema:
    return {
        "type": "object",
        "properties": {
            "mask": {**_BASE64, "description": "a palette PNG, index 0 is background"},
            "contours": {"type": "array", "items": _RING},
            "meta": {"type": "object"},
            "id": {"type": "string"},
        },
    }


def _opex() -> Schema:
    box = {name: {"type": "integer"} for name in ("left", "top", "right", "bottom")}
    polygon = {"type": "object", "properties": {"points": {"type": "array", "items": _RING["items"]}}}
    found = {
        "type": "object",
        "properties": {
            "label": {"type": "string"},
            "score": _NUMBER,
            "bbox": {"type": "object", "properties": box},
            "polygon": polygon,
            "meta": {"type": "object"},
        },
    }
    return {
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "timestamp": {"type": "string"},
            "objects": {"type": "array", "items": found},
            "meta": {"type": "object"},
        },
    }
