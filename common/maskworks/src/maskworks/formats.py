"""Formats of ours, and what the commands ask of one: files for folders, messages for Redis and HTTP.

A model with formats of its own has classes like these.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

from maskworks.overlay import encode_overlay
from maskworks.types import Address, Format, ImageDecoder, Job, Prediction, Request
from maskworks.wire.mask_png import encode_mask
from maskworks.wire.opex import encode_opex
from maskworks.wire.reply import encode_reply
from maskworks.wire.request import find_address, read_image_message, read_message, read_pair


class FileFormat(Format, Protocol):
    """Files in, files out.

    Attributes:
        suffixes: for each part of an answer what follows the image's stem in its file's name, in the order of writing.
        keep_extension: whether a request is called by the image's whole file name instead of its stem.
    """

    @property
    def suffixes(self) -> Mapping[str, str]: ...

    @property
    def keep_extension(self) -> bool: ...


class MessageFormat(Format, Protocol):
    """A message in, a message out: the part `reply`.

    Attributes:
        in_order: whether answers have to leave in the order of the requests, because clients count on it.
    """

    @property
    def in_order(self) -> bool: ...


@dataclass(frozen=True, kw_only=True)
class MaskFiles:
    """An image file and its prompt file in; a mask and OPEX out, and with `overlay` a picture for people."""

    overlay: bool = False
    suffixes: ClassVar[Mapping[str, str]] = {"mask": ".png", "overlay": "-overlay.png", "opex": ".json"}
    keep_extension: ClassVar[bool] = False

    def read(self, job: Job, decoder: ImageDecoder) -> Request:
        return read_pair(job, decoder)

    def write(self, prediction: Prediction) -> Mapping[str, bytes]:
        parts = {"mask": encode_mask(prediction.mask), "opex": encode_opex(prediction)}
        return {**parts, "overlay": encode_overlay(prediction)} if self.overlay else parts

    def address(self, job: Job) -> Address:
        return Address(job.id)


class PromptMessages:
    """JSON with an image and a prompt in; JSON with mask, contours and meta out."""

    in_order = False

    def read(self, job: Job, decoder: ImageDecoder) -> Request:
        return read_message(job, decoder)

    def write(self, prediction: Prediction) -> Mapping[str, bytes]:
        return {"reply": encode_reply(prediction)}

    def address(self, job: Job) -> Address:
        return find_address(job.body)


class ImageMessages(PromptMessages):
    """For models without prompts: an image file as it is, or JSON with one, in."""

    def read(self, job: Job, decoder: ImageDecoder) -> Request:
        return read_image_message(job, decoder)
