"""Whether a server is ready: a prediction for a known image has passed since it started."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, Future
from io import BytesIO

from PIL import Image, ImageDraw

from maskworks.transports.http.endpoint import Endpoint
from maskworks.transports.http.transport import HttpTransport
from maskworks.types import Job, Outcome

_PROMPT = b'{"box": {"x0": 16, "y0": 16, "x1": 47, "y1": 47}}'


class Readiness:
    """Sends one image through everything that requests go through, and remembers how that ended.

    Args:
        transport: to the model.
        endpoint: how requests are read and answered here.
        stop: set when the server is to end.
    """

    def __init__(self, transport: HttpTransport, endpoint: Endpoint, stop: threading.Event) -> None:
        self._stop = stop
        self._problem = "starting: the first prediction is under way"
        trial = endpoint.format("image/png", "", "", {"id": "trial"})
        job = Job("trial", _picture(), _PROMPT, format=trial, receipt=Future())
        transport.submit(job).add_done_callback(self._concluded)

    @property
    def problem(self) -> str:
        """Why it is not ready; "" if it is."""
        return "stopping" if self._stop.is_set() else self._problem

    def _concluded(self, answer: Future[Outcome]) -> None:
        try:
            error = answer.result().error
        except CancelledError:
            return
        self._problem = "" if error is None else f"the first prediction failed: {error.code}: {error.message}"


def _picture() -> bytes:
    """A PNG file of 64x64 pixels: a bright disc on dark ground."""
    image = Image.new("RGB", (64, 64), (30, 40, 50))
    ImageDraw.Draw(image).ellipse((16, 16, 47, 47), fill=(230, 200, 60))
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
