"""Requests and answers over HTTP: how the body of each content type is read, which answers there are."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from maskworks.config import MEBIBYTE, InputConfig
from maskworks.errors import BadImage
from maskworks.images.reader import check_size
from maskworks.transports.http.media import JSON, MULTIPART, OPEX, PNG, media_type_of
from maskworks.transports.http.multipart import read_parts
from maskworks.transports.http.negotiation import choose, takes_gzip
from maskworks.transports.http.openapi import predict_operation
from maskworks.types import Job, Prediction, Request
from maskworks.wire.mask_png import encode_mask
from maskworks.wire.opex import encode_opex
from maskworks.wire.request import decode_bare_image, decode_image_message, decode_pair

Decoder = Callable[[Job, InputConfig], Request]
Writer = Callable[[Prediction], bytes]
Address = Callable[[Job], tuple[str | None, str | None]]


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """How one request is read and its answer written.

    Attributes:
        decode: makes a request of the job.
        address: finds the id for the answer that it could not be decoded.
        encode: writes the answer.
        headers: of the answer.
    """

    decode: Decoder
    address: Address
    encode: Writer
    headers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A path that takes images by POST.

    Attributes:
        path: where it is.
        decoder: from the header Content-Type to how such a body is read.
        answers: how answers are written, by media type; the usual one first.
        address: finds the id in a body of type JSON.
        most_bytes: from the media type of a body and --max_bytes to the most bytes that the body may have.
        compressible: media types of answers that are worth compressing.
        negotiates: whether the requester has a say; otherwise the answer is the usual one, whatever Accept says.
        operation: what OpenAPI says about it, apart from errors.
    """

    path: str
    decoder: Callable[[str], Decoder]
    answers: Mapping[str, Writer]
    address: Address
    most_bytes: Callable[[str, int], int]
    compressible: frozenset[str] = frozenset({JSON, OPEX})
    negotiates: bool = True
    operation: Mapping[str, Any] = field(default_factory=dict)

    def form(self, content_type: str, accept: str, accept_encoding: str) -> Form:
        """The form of a request with these headers ("" for those it lacks).

        Raises:
            NotAcceptable: no answer is of a type that the requester takes.
        """
        media_type = choose(accept if self.negotiates else "", tuple(self.answers))
        write = self.answers[media_type]
        headers = {"Content-Type": media_type}
        if self.negotiates:
            headers["Vary"] = "Accept, Accept-Encoding"
            if media_type in self.compressible and takes_gzip(accept_encoding):
                headers["Content-Encoding"] = "gzip"
        compressed = "Content-Encoding" in headers
        return Form(
            decode=self.decoder(content_type),
            address=self.address if media_type_of(content_type) == JSON else lambda job: (None, None),
            encode=(lambda prediction: gzip.compress(write(prediction), 1)) if compressed else write,
            headers=headers,
        )


@dataclass(frozen=True, kw_only=True)
class Predict:
    """`POST /predict` of a model.

    Attributes:
        needs_prompt: whether an image without a prompt is an error.
        decode_message: reads the JSON message that the model takes over Redis; not asked if it needs no prompt.
        encode_reply: writes the model's reply as on Redis.
        address: finds the id in a message.
    """

    needs_prompt: bool
    decode_message: Decoder
    encode_reply: Writer
    address: Address

    def endpoint(self) -> Endpoint:
        """Where and how it is served."""
        return Endpoint(
            path="/predict",
            decoder=self.decoder,
            answers={
                JSON: self.encode_reply,
                OPEX: encode_opex,
                PNG: lambda prediction: encode_mask(prediction.mask),
            },
            address=self.address,
            most_bytes=most_bytes,
            operation=predict_operation(self.needs_prompt),
        )

    def decoder(self, content_type: str) -> Decoder:
        """How a body is read. Whatever is neither JSON nor multipart is an image file: that tells its format itself."""
        media_type = media_type_of(content_type)
        if media_type == JSON:
            return self.decode_message if self.needs_prompt else decode_image_message
        if media_type == MULTIPART:
            return lambda job, config: self.decode_image(_from_parts(job, content_type, config), config)
        return self.decode_image

    def decode_image(self, job: Job, config: InputConfig) -> Request:
        """An image file as the body and the prompt beside it."""
        if self.needs_prompt:
            return decode_pair(replace(job, prompt=job.prompt or b"{}"), config)
        return decode_bare_image(job, config)


def most_bytes(media_type: str, max_bytes: int) -> int:
    """The most bytes of a body around an image file of `max_bytes`: base64 with line breaks takes 3/2 at most."""
    if media_type == JSON:
        return max_bytes * 3 // 2 + MEBIBYTE
    return max_bytes + MEBIBYTE if media_type == MULTIPART else max_bytes


def _from_parts(job: Job, content_type: str, config: InputConfig) -> Job:
    parts = read_parts(job.body, content_type)
    if "image" not in parts:
        raise BadImage('body: no part named "image"; expected an image file as that part')
    check_size(len(parts["image"]), config)
    return replace(job, body=parts["image"], prompt=parts.get("prompt", job.prompt))
