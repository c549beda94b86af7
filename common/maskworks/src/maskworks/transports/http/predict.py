"""`POST /predict`: an image file, a form or a message in; the model's reply, OPEX or the mask out."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

from maskworks.config import MEBIBYTE
from maskworks.formats import MessageFormat
from maskworks.images.signatures import FORMATS, kind_of
from maskworks.transports.http.content import check_image_file
from maskworks.transports.http.form import id_of_form, read_form, stray_names
from maskworks.transports.http.media import ANY_IMAGE, JSON, MULTIPART, OCTETS, OPEX, PNG, media_type_of
from maskworks.transports.http.negotiation import choose, takes_gzip
from maskworks.transports.http.openapi import predict_operation
from maskworks.types import Address, ImageDecoder, Job, Prediction, Request
from maskworks.wire.mask_png import encode_mask
from maskworks.wire.opex import encode_opex
from maskworks.wire.request import is_message, read_image, read_image_message, read_pair

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
        """Base64 with line breaks takes 3/2 of the image file at most; under most types a body may be JSON."""
        if media_type in ("", OCTETS) or media_type.startswith(ANY_IMAGE.rstrip("*")):
            return max_bytes
        return max_bytes * 3 // 2 + MEBIBYTE

    def format(self, content_type: str, accept: str, accept_encoding: str, query: Mapping[str, str]) -> PredictFormat:
        answer = choose(accept, _ANSWERS)
        compressed = answer in _COMPRESSIBLE and takes_gzip(accept_encoding)
        return PredictFormat(self, content_type, answer, compressed, query)


@dataclass(frozen=True, slots=True, eq=False)
class PredictFormat:
    """One request to /predict.

    Attributes:
        endpoint: that it came to.
        content_type: the header.
        answer: the media type of its answer.
        compressed: whether the answer is compressed by gzip.
        query: of the URL: `id`, and `prompt` for an image file alone.
    """

    endpoint: PredictEndpoint
    content_type: str
    answer: str
    compressed: bool
    query: Mapping[str, str]

    @property
    def headers(self) -> Mapping[str, str]:
        headers = {"Content-Type": self.answer, "Vary": "Accept, Accept-Encoding"}
        return {**headers, "Content-Encoding": "gzip"} if self.compressed else headers

    def read(self, job: Job, decoder: ImageDecoder) -> Request:
        needs_prompt, kind = self.endpoint.needs_prompt, self._kind(job)
        ignored = stray_names(self.query, needs_prompt=needs_prompt)
        if kind == "message":
            job, request = replace(job, prompt=None), self._read_message(job, decoder)
        elif kind == "form":
            job, own_id, others = read_form(job, self.content_type, decoder.limits, needs_prompt=needs_prompt)
            ignored, request = (*ignored, *others), self._read_image(job, decoder)
            request = request if own_id is None else replace(request, id=own_id, named=True)
        else:
            check_image_file(job.body, media_type_of(self.content_type), decoder)
            request = self._read_image(job, decoder)
        if "prompt" in self.query and (job.prompt is None or job.prompt != self.query["prompt"].encode()):
            ignored = (*ignored, "?prompt")
        return replace(request, named=request.named or "id" in self.query, ignored=(*ignored, *request.ignored))

    def write(self, prediction: Prediction) -> Mapping[str, bytes]:
        if self.answer == JSON:
            reply = self.endpoint.messages.write(prediction)["reply"]
        elif self.answer == OPEX:
            reply = encode_opex(prediction)
        else:
            reply = encode_mask(prediction.mask)
        return {"reply": gzip.compress(reply, 1) if self.compressed else reply}

    def address(self, job: Job) -> Address:
        """The id in the body, as in answers; the one in the URL if there is none."""
        kind, name = self._kind(job), None
        if kind == "message":
            name = self.endpoint.messages.address(job).id
        elif kind == "form":
            name = id_of_form(job.body, self.content_type)
        return Address(self.query.get("id") if name is None else name)

    def _kind(self, job: Job) -> str:
        """What the body is, whatever its type: a `message` in JSON, a `form`, or a `file`, which tells its format."""
        media_type = media_type_of(self.content_type)
        if media_type == MULTIPART and "boundary" in self.content_type.lower():
            return "form"
        if is_message(job.body) or (media_type == JSON and kind_of(job.body) not in FORMATS):
            return "message"
        return "form" if media_type == MULTIPART else "file"

    def _read_message(self, job: Job, decoder: ImageDecoder) -> Request:
        return (
            self.endpoint.messages.read(job, decoder)
            if self.endpoint.needs_prompt
            else read_image_message(job, decoder)
        )

    def _read_image(self, job: Job, decoder: ImageDecoder) -> Request:
        """An image file as the body and the prompt beside it."""
        if self.endpoint.needs_prompt:
            return read_pair(replace(job, prompt=job.prompt or b"{}"), decoder, "prompt.")
        return read_image(job, decoder)
