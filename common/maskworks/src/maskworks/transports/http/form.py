"""What a form means: its parts `image`, `prompt` and `id`, and what stands beside them or in the query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from maskworks.config import InputConfig
from maskworks.errors import BadImage, BadJson, RequestError
from maskworks.images.limits import check_size
from maskworks.transports.http.content import check_is_file, check_is_prompt
from maskworks.transports.http.multipart import read_parts
from maskworks.types import Job
from maskworks.wire.jsontext import read_value
from maskworks.wire.prompt_keys import check_beside, ignored_names

_PARTS = ("image", "prompt", "id")
_QUERY = ("prompt", "id")


def read_form(
    job: Job, content_type: str, limits: InputConfig, *, needs_prompt: bool
) -> tuple[Job, str | None, tuple[str, ...]]:
    """The job with the image and the prompt of its form, the id in it, and the names of parts that nobody reads.

    Raises:
        RequestError: it is no form, has no image, or a part that looks like a prompt.
    """
    parts = read_parts(job.body, content_type)
    others = [name for name in parts if name not in _PARTS]
    if needs_prompt:
        ignored = check_beside(((name, read_value(parts[name])) for name in others), "a part of its own")
        if "prompt" in parts:
            check_is_prompt(parts["prompt"])
    else:
        ignored = ignored_names([*others, *(["prompt"] if "prompt" in parts else [])])
    if "image" not in parts:
        found = f", but {', '.join(ignored_names(parts))}" if parts else ""
        raise BadImage(f'body: no part named "image"{found}; expected an image file as that part')
    check_size(len(parts["image"]), limits)
    check_is_file(parts["image"])
    return replace(job, body=parts["image"], prompt=parts.get("prompt", job.prompt)), _id(parts), ignored


def id_of_form(body: bytes | bytearray, content_type: str) -> str | None:
    """The id in a form, as far as it can be made out."""
    try:
        return _id(read_parts(body, content_type))
    except RequestError:
        return None


def stray_names(query: Mapping[str, str], *, needs_prompt: bool) -> tuple[str, ...]:
    """The parameters of a URL that nobody reads, as `?name`.

    Raises:
        BadPrompt: one looks like a prompt.
    """
    others = [name for name in query if name not in _QUERY]
    if needs_prompt:
        check_beside(((name, read_value(query[name])) for name in others), "stands in the query")
    return ignored_names(f"?{name}" for name in others)


def _id(parts: Mapping[str, bytes]) -> str | None:
    try:
        return parts["id"].decode() if "id" in parts else None
    except UnicodeDecodeError as error:
        raise BadJson(f"body: the part id: byte {error.start} is not UTF-8; expected text") from None
