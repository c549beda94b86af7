"""`POST /predict`: an image file, a form or a message in; the model's reply, OPEX or the mask out."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

from maskworks.config import MEBIBYTE, InputConfig
from maskworks.errors import BadImage
from maskworks.formats import MessageFormat
from maskworks.images.limits import check_size
from maskworks.transports.http.media import JSON, MULTIPART, OPEX, PNG, media_type_of
from maskworks.transports.http.multipart import read_parts
from maskworks.transports.http.negotiation import choose, takes_gzip
from maskworks.transports.http.openapi import predict_operation
from maskworks.types import Address, ImageDecoder, Job, Prediction, Request
from maskworks.wire.mask_png import encode_mask
from maskworks.wire.opex import encode_opex
from maskworks.wire.request import read_image, read_image_message, read_pair

_ANSWERS = (JSON, OPEX, PNG)  # the usual one first
_COMPRESSIBLE = (JSON, OPEX)


@dataclass(frozen=True)
class PredictEndpoint:
    """The path that every model has.

    Attributes:
        messages: how the model reads and answers messages over Redis.
        needs_prompt: whether an image without a prompt is an error.
    """

    messages: MessageFormat
    needs_prompt: bool
    path: ClassVar[str] = "/predict"

    @cached_property
    def operation(self) -> Mapping[str, Any]:
        return predict_operation(self.needs_prompt)

    def most_bytes(self, media_type: str, max_bytes: int) -> int:
        """Base64 with line breaks takes 3/2 of the image file at most."""
        if media_type == JSON:
            return max_bytes * 3 // 2 + MEBIBYTE
        return max_bytes + MEBIBYTE if media_type == MULTIPART else max_bytes

    def format(self, content_type: str, accept: str, accept_encoding: str, name: str | None) -> PredictFormat:
        answer = choose(accept, _ANSWERS)
        compressed = answer in _COMPRESSIBLE and takes_gzip(accept_encoding)
        return PredictFormat(self, content_type, answer, compressed, name)


@dataclass(frozen=True, slots=True, eq=False)
class PredictFormat:
    """One request to /predict.

    Attributes:
        endpoint: that it came to.
        content_type: the header.
        answer: the media type of its answer.
        compressed: whether the answer is compressed by gzip.
        name: the id that the requester gave in the URL, None if it gave none there.
    """

    endpoint: PredictEndpoint
    content_type: str
    answer: str
    compressed: bool
    name: str | None

    @property
    def headers(self) -> Mapping[str, str]:
        headers = {"Content-Type": self.answer, "Vary": "Accept, Accept-Encoding"}
        return {**headers, "Content-Encoding": "gzip"} if self.compressed else headers

    def read(self, job: Job, decoder: ImageDecoder) -> Request:
        """Whatever is neither JSON nor multipart is an image file: that tells its format itself."""
        media_type = media_type_of(self.content_type)
        if media_type == JSON:
            request = self._read_message(job, decoder)
        elif media_type == MULTIPART:
            request = self._read_image(_from_parts(job, self.content_type, decoder.limits), decoder)
        else:
            request = self._read_image(job, decoder)
        return replace(request, named=request.named or self.name is not None)

    def write(self, prediction: Prediction) -> Mapping[str, bytes]:
        if self.answer == JSON:
            reply = self.endpoint.messages.write(prediction)["reply"]
        elif self.answer == OPEX:
            reply = encode_opex(prediction)
        else:
            reply = encode_mask(prediction.mask)
        return {"reply": gzip.compress(reply, 1) if self.compressed else reply}

    def address(self, job: Job) -> Address:
        if self.name is not None:
            return Address(self.name)
        return self.endpoint.messages.address(job) if media_type_of(self.content_type) == JSON else Address()

    def _read_message(self, job: Job, decoder: ImageDecoder) -> Request:
        return (
            self.endpoint.messages.read(job, decoder)
            if self.endpoint.needs_prompt
            else read_image_message(job, decoder)
        )

    def _read_image(self, job: Job, decoder: ImageDecoder) -> Request:
        """An image file as the body and the prompt beside it."""
        if self.endpoint.needs_prompt:
            return read_pair(replace(job, prompt=job.prompt or b"{}"), decoder)
        return read_image(job, decoder)


def _from_parts(job: Job, content_type: str, limits: InputConfig) -> Job:
    parts = read_parts(job.body, content_type)
    if "image" not in parts:
        raise BadImage('body: no part named "image"; expected an image file as that part')
    check_size(len(parts["image"]), limits)
    return replace(job, body=parts["image"], prompt=parts.get("prompt", job.prompt))
