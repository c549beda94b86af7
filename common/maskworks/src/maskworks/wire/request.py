"""Requests in: a job's bytes to an image and its prompts, in each of the forms that transports receive."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from maskworks.errors import BadImage, BadJson
from maskworks.types import Address, Bytes, ImageDecoder, Job, Request
from maskworks.wire import base64text, jsontext
from maskworks.wire.placement import remarks_on
from maskworks.wire.prompt import parse_prompt
from maskworks.wire.prompt_keys import check_beside, check_keys, ignored_names, shortened

# After a byte order mark and blanks, in any encoding of Unicode. No image file starts like this.
_OBJECT = re.compile(rb"(?:\xef\xbb\xbf)?[\s\0\xfe\xff]*\{")

_ENVELOPE = ("image", "id", "reply_to")
_LONG = 100  # characters of a text that may be an image


def read_pair(job: Job, decoder: ImageDecoder, at: str = "", ignored: tuple[str, ...] = ()) -> Request:
    """An image file and its prompt file; without a prompt file, an image for a model that needs none.

    Args:
        job: the request.
        decoder: of its image.
        at: what stands before the paths of the prompt's keys in `meta`.
        ignored: what came with it and is read by nobody.
    """
    if job.prompt is None:
        return replace(read_image(job, decoder), ignored=ignored)
    request = _with_prompt(job, _read_object(job.prompt, "prompt"), lambda: decoder.decode(job.body, job.requester), at)
    return replace(request, ignored=(*ignored, *request.ignored))


def read_message(job: Job, decoder: ImageDecoder) -> Request:
    """A JSON message: `image` in base64, and the prompt beside it (DEXTR) or under `prompt` (SAM).

    Its answers echo the prompt. Clients of the original DEXTR read `label` there, also where they left it out.
    """
    message = _message(job)
    prompt = message.get("prompt")
    beside = {key: value for key, value in message.items() if key not in (*_ENVELOPE, "prompt")}
    decode = partial(_decoded, job, message, decoder)
    if prompt is None:
        request = _with_prompt(job, beside, decode, "")
        if "objects" not in beside:
            request = replace(request, source={"label": request.prompts[0].label, **beside})
    elif isinstance(prompt, dict):
        ignored = check_beside(beside.items(), 'stands beside "prompt"')
        request = _with_prompt(job, prompt, decode, "prompt.")
        request = replace(request, ignored=(*ignored, *request.ignored))
    else:
        raise BadJson('message: "prompt" is not an object in curly braces; expected one')
    return _as_named(request, message)


def read_image(job: Job, decoder: ImageDecoder) -> Request:
    """The raw bytes of an image file, for models that need no prompt."""
    image, image_meta = decoder.decode(job.body, job.requester)
    return Request(job.id, image, image_meta=image_meta)


def read_image_message(job: Job, decoder: ImageDecoder) -> Request:
    """For models that need no prompt: the raw bytes of an image file, or JSON with `image`, `id` and `reply_to`."""
    if not is_message(job.body):
        return read_image(job, decoder)
    message = _message(job)
    image, image_meta = _decoded(job, message, decoder)
    ignored = ignored_names(key for key in message if key not in _ENVELOPE)
    return _as_named(Request(job.id, image, image_meta=image_meta, ignored=ignored), message)


def is_message(body: bytes | bytearray) -> bool:
    """Whether a body is a JSON object instead of an image file."""
    return _OBJECT.match(body) is not None


def find_address(body: bytes | bytearray) -> Address:
    """The id and `reply_to` in a JSON message, as far as they can be made out, for the answer that it is wrong."""
    try:
        message = _read_object(body, "message")
    except BadJson:
        return Address()
    name, reply_to = message.get("id"), message.get("reply_to")
    return Address(name if _is_name(name) else None, reply_to if isinstance(reply_to, str) else None)


def _read_object(text: bytes | bytearray, what: str) -> dict[str, Any]:
    return jsontext.read_object(text, what, jsontext.MOST_MARKS)


def _message(job: Job) -> dict[str, Any]:
    message = _read_object(job.body, "message")
    if not isinstance(message.get("reply_to", ""), str):
        raise BadJson('message: "reply_to" is not a string; expected a string or nothing')
    if not _is_name(message.get("id", "")):
        raise BadJson('message: "id" is not a string; expected a string, an integer of 64 bits or nothing')
    return message


def _decoded(job: Job, message: dict[str, Any], decoder: ImageDecoder) -> tuple[Bytes, dict[str, Any]]:
    """The image of a message, for its requester as the transport knows it, or by where it wants its answer."""
    return decoder.decode(_image_bytes(message), job.requester or message.get("reply_to"))


def _is_name(value: Any) -> bool:
    is_integer = isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**64
    return is_integer or isinstance(value, str)


def _as_named(request: Request, message: dict[str, Any]) -> Request:
    """The request with the id and the way of its answer that a message gives."""
    name, reply_to = message.get("id"), message.get("reply_to")
    return replace(request, id=request.id if name is None else name, named=name is not None, reply_to=reply_to)


def _with_prompt(
    job: Job, prompt: dict[str, Any], decode: Callable[[], tuple[Bytes, dict[str, Any]]], at: str
) -> Request:
    """The request; the image is decoded once the prompt is known to be good, and the prompt must lie in it."""
    keys = check_keys(prompt, at)
    prompts = parse_prompt(prompt)
    image, image_meta = decode()
    remarks = remarks_on(prompts, image.shape[:2])
    return Request(
        job.id, image, prompts, prompt, image_meta, ignored=keys.ignored, options=keys.options, remarks=remarks
    )


def _image_bytes(message: dict[str, Any]) -> bytes:
    text = message.get("image")
    if not isinstance(text, str):
        long = [
            key for key, value in message.items() if isinstance(value, str) and len(value) > _LONG and key != "prompt"
        ]
        hint = f' under this key, not under "{shortened(long[0])}"' if long else ""
        raise BadJson(f'message: "image" is missing or not a string; expected an image file in base64{hint}')
    try:
        return base64text.decode(text)
    except ValueError as error:
        raise BadImage(f"image: not base64: {error}; expected an image file in base64") from None
