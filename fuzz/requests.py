"""Requests as workers get them: messages from Redis, pairs of files, bodies of HTTP requests."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence

import numpy as np

from fuzz.images import LIMITS
from fuzz.target import Target
from maskworks.errors import RequestError
from maskworks.formats import PromptMessages
from maskworks.geometry import compose, fill
from maskworks.images.reader import InProcessDecoder
from maskworks.pipeline import Pipeline
from maskworks.predictor import Result
from maskworks.transports.http.multipart import read_parts
from maskworks.types import Address, ImageDecoder, Instance, Job, Prediction, Request
from maskworks.wire import jsontext
from maskworks.wire.opex import encode_opex
from maskworks.wire.reply import decode_reply, encode_reply
from maskworks.wire.request import read_pair
from tests.support.image_files import image_files

PROMPTS = (
    {"points": [[8, 4], [4, 8.5], [12, 8], [8, 12]], "label": 3},
    {"points": [{"x": 3, "y": 4, "label": 1}, {"x": 0, "y": 0, "label": 0}]},
    {"box": {"x0": 10, "y0": 3, "x1": 2, "y1": 9}},
    {"objects": [{"box": {"x0": 1, "y0": 1, "x1": 9, "y1": 9}}, {"points": [[1, 2], [3, 4], [5, 6], [7, 8], [2, 2]]}]},
)


class Bright:
    """Every prompt gets the pixels that are brighter than the mean."""

    def __init__(self) -> None:
        self.segmenter = {"type": "bright"}

    def predict(self, requests: Sequence[Request]) -> list[Result]:
        return [
            [Instance(request.image[:, :, 0] > request.image.mean(), label=prompt.label) for prompt in request.prompts]
            for request in requests
        ]


def messages() -> Iterable[bytes]:
    for index, image in enumerate(image_files()):
        prompt = PROMPTS[index % len(PROMPTS)]
        text = {"image": base64.b64encode(image).decode(), "id": str(index), "reply_to": "mine"}
        yield json.dumps({**text, **(prompt if index % 2 else {"prompt": prompt})}).encode()


def run_message(data: bytes) -> None:
    """Through the whole pipeline, and the reply through the client."""
    _check(Job("1", data, format=Messages()))


def pairs() -> Iterable[bytes]:
    for index, image in enumerate(image_files()):
        yield json.dumps(PROMPTS[index % len(PROMPTS)]).encode() + b"\0\0" + image


def run_pair(data: bytes) -> None:
    """The prompt file comes first, then two zero bytes, then the image file."""
    prompt, _, image = data.partition(b"\0\0")
    _check(Job("1", image, prompt, format=Pairs()))


def bodies() -> Iterable[bytes]:
    for index, image in enumerate(image_files()):
        prompt = json.dumps(PROMPTS[index % len(PROMPTS)]).encode()
        yield (
            b"".join(
                b'--x\r\nContent-Disposition: form-data; name="%s"; filename="a"\r\n\r\n%s\r\n' % part
                for part in ((b"image", image), (b"prompt", prompt))
            )
            + b"--x--\r\n"
        )


def run_body(data: bytes) -> None:
    """A body of type multipart/form-data."""
    try:
        parts = read_parts(data, "multipart/form-data; boundary=x")
    except RequestError:
        return
    assert all(isinstance(part, bytes) for part in parts.values())
    assert sum(map(len, parts.values())) <= len(data)


def _check(job: Job) -> None:
    """A request ends with an answer that is whole, or with an error that is the requester's fault."""
    (outcome,) = PIPELINE.run([job])
    if outcome.error is not None:
        assert outcome.error.code not in ("internal", "out_of_memory"), outcome.error
        return
    opex = json.loads(outcome.parts["opex"])
    reply = decode_reply(outcome.parts["reply"], "x")
    assert len(opex["objects"]) == sum(map(len, reply.regions))
    for instance, regions in zip(reply.instances, reply.regions, strict=True):
        np.testing.assert_array_equal(fill(regions, reply.mask.shape), compose([instance], reply.mask.shape) > 0)
    jsontext.read_object(outcome.parts["reply"], "reply")


class Messages(PromptMessages):
    """Answered in both forms."""

    def write(self, prediction: Prediction) -> dict[str, bytes]:
        return {"reply": encode_reply(prediction), "opex": encode_opex(prediction)}


class Pairs(Messages):
    """Image and prompt apart."""

    def read(self, job: Job, decoder: ImageDecoder) -> Request:
        return read_pair(job, decoder)

    def address(self, job: Job) -> Address:
        return Address(job.id)


PIPELINE = Pipeline(predictor=Bright(), decoder=InProcessDecoder(LIMITS))

MESSAGE = Target(run_message, messages)
PAIR = Target(run_pair, pairs)
BODY = Target(run_body, bodies)
