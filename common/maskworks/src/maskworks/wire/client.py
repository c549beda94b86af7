"""The client's side of messages: the request that it sends, the answer that it receives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from maskworks.wire import base64text, jsontext


@dataclass(frozen=True)
class Answer:
    """What kind of answer a text is: an error, OPEX (which some models answer with), else a reply.

    Attributes:
        error: code and message.
        is_opex: whether it is OPEX.
        mask_text: what stands where a reply has its mask, in base64.
    """

    error: tuple[str, str] | None = None
    is_opex: bool = False
    mask_text: Any = None

    @property
    def mask(self) -> bytes:
        """The palette PNG of a reply that `decode_reply` could read."""
        return base64text.decode(self.mask_text)


def encode_request(
    image: bytes, prompt: Mapping[str, Any], *, label: int | None, name: str | None, reply_to: str | None
) -> bytes:
    """The JSON message that asks a worker.

    Args:
        image: an image file.
        prompt: the keys of the prompt, or the key `prompt` with them.
        label: palette index in the mask; None for the worker's choice.
        name: id of the request, None for none.
        reply_to: channel or stream for the answer, None for the usual one.
    """
    message = {"image": base64text.encode(image), **prompt}
    for key, value, target in (
        ("label", label, message.get("prompt", message)),
        ("id", name, message),
        ("reply_to", reply_to, message),
    ):
        if value is not None:
            target[key] = value
    return jsontext.write(message)


def decode_answer(text: bytes) -> Answer:
    """The kind of an answer.

    Raises:
        BadJson: it is not a JSON object.
    """
    answer = jsontext.read_object(text, "answer")
    if "error" in answer:
        error = answer["error"] if isinstance(answer["error"], dict) else {"message": answer["error"]}
        return Answer(error=(str(error.get("code")), str(error.get("message"))))
    if "objects" in answer:
        return Answer(is_opex=True)
    return Answer(mask_text=answer.get("mask"))
