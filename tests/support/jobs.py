"""Jobs for tests, in a format of steps that a test can choose."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from maskworks.types import Address, ImageDecoder, Job, Prediction, Request
from maskworks.wire.mask_png import encode_mask
from maskworks.wire.opex import encode_opex
from maskworks.wire.reply import encode_reply
from maskworks.wire.request import read_pair


def all_parts(prediction: Prediction) -> Mapping[str, bytes]:
    """A prediction in each form that is ours."""
    return {"mask": encode_mask(prediction.mask), "opex": encode_opex(prediction), "reply": encode_reply(prediction)}


@dataclass(frozen=True, eq=False)
class Steps:
    """A format made of functions."""

    reader: Callable[[Job, ImageDecoder], Request] = read_pair
    writer: Callable[[Prediction], Mapping[str, bytes]] = all_parts
    addresser: Callable[[Job], Address] = lambda job: Address(job.id)

    def read(self, job: Job, decoder: ImageDecoder) -> Request:
        return self.reader(job, decoder)

    def write(self, prediction: Prediction) -> Mapping[str, bytes]:
        return self.writer(prediction)

    def address(self, job: Job) -> Address:
        return self.addresser(job)


def a_job(name: str, body: bytes = b"", prompt: bytes | None = None, **more: Any) -> Job:
    """A job in the format of image and prompt files, if no other is given."""
    return Job(name, body, prompt, **{"format": Steps(), **more})
