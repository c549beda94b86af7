"""The description of the HTTP interface in OpenAPI 3.1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskworks import __version__
from maskworks.transports.http.media import ANY_IMAGE, JSON, MULTIPART, OPEX, PNG
from maskworks.wire.schema import PROMPT, TEXT, Schema, error_schema, message_schema, opex_schema, reply_schema

_ERROR: Schema = {"$ref": "#/components/schemas/Error"}
_FILE: Schema = {"type": "string", "format": "binary"}

_ERRORS = {
    "400": "bad_json, bad_prompt, bad_image, bad_request: the request is wrong; the message says where",
    "401": "unauthorized: the token is missing or wrong",
    "403": "forbidden: a web page of another origin asks, or the server is asked by a name that it does not know",
    "406": "not_acceptable: no answer is of a type that Accept names",
    "408": "slow_upload: the request did not arrive in time",
    "413": "image_too_large: the body or the image is beyond a limit",
    "415": "unsupported_media_type: a Content-Type or a Content-Encoding that is not read; the message says which are",
    "422": "unsupported_prompt: a valid prompt that this model cannot use",
    "500": "internal: a fault of the server or the model",
    "503": "overloaded: too much is waiting; try again after Retry-After seconds",
    "504": "timed_out: the answer was not ready in time",
    "507": "out_of_memory: the request does not fit into memory",
}


def describe(
    title: str, operations: Mapping[str, Mapping[str, Any]], schemas: Mapping[str, Schema], *, with_token: bool
) -> Schema:
    """The whole document.

    Args:
        title: what the server is called.
        operations: what each path that takes images by POST does, without the errors.
        schemas: components that the operations refer to.
        with_token: whether requests have to show a bearer token.
    """
    errors = {status: _answer(text, {JSON: _ERROR}) for status, text in _ERRORS.items()}
    if not with_token:
        del errors["401"]
    secured: Schema = {"security": [{"token": []}]} if with_token else {}
    posts = {
        path: {"post": {**operation, **secured, "responses": {**operation["responses"], **errors}}}
        for path, operation in operations.items()
    }
    components: Schema = {
        "schemas": {**schemas, "Error": error_schema(), "Reply": reply_schema(), "Opex": opex_schema()}
    }
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
    form: Schema = {"type": "object", "required": ["image"], "properties": {"image": _FILE, "id": TEXT}}
    parameters: list[Schema] = [
        {"name": "id", "in": "query", "schema": {"type": "string"}, "description": "comes back in the answer"}
    ]
    if needs_prompt:
        form = {**form, "required": ["image", "prompt"], "properties": {"image": _FILE, "prompt": PROMPT, "id": TEXT}}
        text = "the prompt as JSON, where the body is the image file alone"
        parameters.append({"name": "prompt", "in": "query", "content": {JSON: {"schema": PROMPT}}, "description": text})
    return {
        "summary": "Finds the objects in an image",
        "operationId": "predict",
        "parameters": parameters,
        "requestBody": {
            "required": True,
            "description": "as it is, or compressed with Content-Encoding: gzip",
            "content": _content({ANY_IMAGE: _FILE, MULTIPART: form, JSON: message_schema(needs_prompt)}),
        },
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
        kept_out = ("400", "401", "403") if "security" in more else ("400", "403")
        errors = {status: _answer(_ERRORS[status], {JSON: _ERROR}) for status in kept_out}
        answers: Schema = {"200": _answer("yes", {media_type: {}}), **errors}
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
