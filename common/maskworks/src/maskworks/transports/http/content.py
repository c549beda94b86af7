"""Bodies that are to be an image file: what they are instead, and what to send."""

from __future__ import annotations

import re

from maskworks.errors import BadImage, BadJson, HttpError
from maskworks.images.signatures import FORMATS, kind_of
from maskworks.transports.http.media import ANY_IMAGE, FIELDS, MULTIPART, OCTETS
from maskworks.transports.http.multipart import looks_like_parts
from maskworks.types import ImageDecoder
from maskworks.wire.base64text import decode, names_a_file

_OTHERS = 'expected multipart/form-data with the parts image and prompt, JSON with "image", or the image file itself'
_FIELD = re.compile(rb"[\w.%+\-\[\]]{1,60}=")
_FILE_NAME = re.compile(rb"[^\s{}\[\]\"][^\n{}\[\]\"]{0,500}\.[A-Za-z]{2,8}\s*")
_MAY_BE_FILES = ("", OCTETS, "binary/octet-stream", FIELDS)  # the last one is what curl says of `--data-binary`


def check_image_file(body: bytes | bytearray, media_type: str, decoder: ImageDecoder) -> None:
    """Refuses what is no image file, before anything is said about its prompt.

    Raises:
        HttpError: 415, it is of a type that is not read.
        RequestError: as the decoder says.
    """
    if kind_of(body) in FORMATS:
        return
    if looks_like_parts(body) or media_type.startswith("multipart/"):
        said = media_type or "none"
        raise HttpError(415, f"Content-Type: {said[:60]}, of a body in parts; expected {MULTIPART} with its boundary, "
                        "which HTTP libraries set themselves")  # fmt: skip
    if media_type == FIELDS and _FIELD.match(body):
        raise HttpError(415, f"Content-Type: {FIELDS}, form fields; {_OTHERS}. With curl, -F instead of -d")
    check_is_file(body)
    if media_type not in _MAY_BE_FILES and not media_type.startswith(ANY_IMAGE.rstrip("*")):
        raise HttpError(415, f"Content-Type: {media_type[:60]}, of a body that is no image file; {_OTHERS}")
    decoder.decode(body)


def check_is_file(image: bytes | bytearray) -> None:
    """Refuses the name of an image file in its place; with curl a forgotten @ sends that.

    Raises:
        BadImage: it is a name, or a `data:` URL.
    """
    text = bytes(image[:1000]).decode("utf-8", "replace")
    if text.startswith("data:"):
        raise BadImage(
            "image: a data: URL; expected the bytes of the file here, or the URL as the image of a JSON message"
        )
    if _is_base64_of_an_image(text):
        raise BadImage(
            "image: text in base64; expected the bytes of the file here, or the text as the image of a JSON message"
        )
    if len(image) <= len(text.encode()) and names_a_file(text):
        raise BadImage(f"image: the text {text.strip()[:60]!r} in place of the file; {_at('image', text)}")


def check_is_prompt(prompt: bytes) -> None:
    """Refuses the name of a prompt file in its place.

    Raises:
        BadJson: it is a name.
    """
    if _FILE_NAME.fullmatch(prompt):
        text = prompt.decode("utf-8", "replace")
        raise BadJson(f"prompt: the text {text.strip()[:60]!r} in place of JSON; {_at('prompt', text)}")


def _is_base64_of_an_image(text: str) -> bool:
    try:
        return kind_of(decode(text.lstrip()[:64])) in FORMATS
    except ValueError:
        return False


def _at(part: str, text: str) -> str:
    """How curl sends a file."""
    return f"expected its content: with curl, @ stands before the name of a file, as in -F {part}=@{text.strip()[:60]}"
