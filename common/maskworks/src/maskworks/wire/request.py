"""Requests in: a job's bytes to an image and its prompts, in each of the forms that transports receive."""

from __future__ import annotations

import re
from typing import Any

from maskworks.errors import BadImage, BadJson
from maskworks.types import Address, ImageDecoder, Job, Request
from maskworks.wire import base64text, jsontext
from maskworks.wire.prompt import parse_prompt

# After a byte order mark and blanks, in any encoding of Unicode. No image file starts like this.
_OBJECT = re.compile(rb"(?:\xef\xbb\xbf)?[\s\0\xfe\xff]*\{")


def read_pair(job: Job, decoder: ImageDecoder) -> Request:
    """An image file and its prompt file; without a prompt file, an image for a model that needs none."""
    prompt = None if job.prompt is None else _read_object(job.prompt, "prompt")
    prompts = () if prompt is None else parse_prompt(prompt)
    image, image_meta = decoder.decode(job.body)
    return Request(job.id, image, prompts, prompt, image_meta)


def read_message(job: Job, decoder: ImageDecoder) -> Request:
    """A JSON message: `image` in base64, and the prompt beside it (DEXTR) or under `prompt` (SAM).

    Its answers echo the prompt. Clients of the original DEXTR read `label` there, also where they left it out.
    """
    message = _message(job)
    prompt = message.get("prompt")
    beside = prompt is None
    if beside:
        prompt = {key: value for key, value in message.items() if key not in ("image", "id", "reply_to")}
    elif not isinstance(prompt, dict):
        raise BadJson('message: "prompt" is not an object in curly braces; expected one')
    prompts = parse_prompt(prompt)
    if beside and "objects" not in prompt:
        prompt.setdefault("label", prompts[0].label)
    image, image_meta = decoder.decode(_image_bytes(message))
    name = message.get("id")
    return Request(
        job.id if name is None else name, image, prompts, prompt, image_meta, name is not None, message.get("reply_to")
    )


def read_image(job: Job, decoder: ImageDecoder) -> Request:
    """The raw bytes of an image file, for models that need no prompt."""
    image, image_meta = decoder.decode(job.body)
    return Request(job.id, image, image_meta=image_meta)


def read_image_message(job: Job, decoder: ImageDecoder) -> Request:
    """For models that need no prompt: the raw bytes of an image file, or JSON with `image`, `id` and `reply_to`."""
    if not _OBJECT.match(job.body):
        return read_image(job, decoder)
    message = _message(job)
    image, image_meta = decoder.decode(_image_bytes(message))
    name = message.get("id")
    return Request(
        job.id if name is None else name,
        image,
        image_meta=image_meta,
        named=name is not None,
        reply_to=message.get("reply_to"),
    )


def find_address(body: bytes | bytearray) -> Address:
    """The id and `reply_to` in a JSON message, as far as they can be made out, for the answer that it is wrong."""
    try:
        message = _read_object(body, "message")
    except BadJson:
        return Address()
    name, reply_to = message.get("id"), message.get("reply_to")
    return Address(name if isinstance(name, str) else None, reply_to if isinstance(reply_to, str) else None)


def _read_object(text: bytes | bytearray, what: str) -> dict[str, Any]:
    return jsontext.read_object(text, what, jsontext.MOST_MARKS)


def _message(job: Job) -> dict[str, Any]:
    message = _read_object(job.body, "message")
    for key in ("id", "reply_to"):
        if not isinstance(message.get(key, ""), str):
            raise BadJson(f'message: "{key}" is not a string; expected a string or nothing')
    return message


def _image_bytes(message: dict[str, Any]) -> bytes:
    text = message.get("image")
    if not isinstance(text, str):
        raise BadJson('message: "image" is missing or not a string; expected an image file in base64')
    try:
        return base64text.decode(text)
    except ValueError as error:
        raise BadImage(f"image: not base64: {error}; expected an image file in base64") from None
