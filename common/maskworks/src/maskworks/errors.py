"""Every error that maskworks raises, with its code on the wire or its exit code.

MaskworksError
├── RequestError                 one request failed: it is answered with its code, the worker goes on
│   ├── BadJson                  bad_json            the text is not JSON, or not a JSON object
│   ├── BadPrompt                bad_prompt          a value of the prompt is missing or wrong; names its path
│   ├── UnsupportedPrompt        unsupported_prompt  a valid prompt that this model cannot use
│   ├── BadImage                 bad_image           not an image, broken, or of a format that is not read
│   ├── ImageTooLarge            image_too_large     beyond --max_bytes, --max_pixels or --max_mask_pixels
│   ├── OutOfMemory              out_of_memory       does not fit in memory, even alone
│   ├── Overloaded               overloaded          the queue of the worker is full
│   ├── Unauthorized             unauthorized        HTTP: the token is missing or wrong
│   ├── NotAcceptable            not_acceptable      HTTP: no answer is of a kind that the requester takes
│   ├── SlowUpload               slow_upload         HTTP: the request did not arrive in time
│   ├── TimedOut                 timed_out           HTTP: the answer was not ready in time
│   ├── HttpError                by its status       HTTP: no such path or method, or not HTTP at all
│   └── Internal                 internal            a fault of ours or of the model
├── ConfigError                  exit 2              wrong flags, all problems at once
├── TransportError               exit 1              results cannot be delivered, requests cannot be read
│   └── GaveUp                   exit 4              the server stayed away for too long
├── CheckpointError              exit 5              the model cannot be loaded
│   └── UnsafeCheckpoint         exit 5              loading would run code from the file
└── DeviceError                  exit 6              the device is not there or not usable
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import ClassVar


class MaskworksError(Exception):
    """Base of all errors here. Its text names the fault, the expectation and the remedy."""

    exit_code: ClassVar[int] = 1

    @property
    def message(self) -> str:
        """The text for people."""
        return str(self)


class RequestError(MaskworksError):
    """One request cannot be answered with a result. `code` goes on the wire, `status` is its HTTP status."""

    code = "internal"
    status = 500


class BadJson(RequestError):
    """The request's text is not JSON, or is JSON of the wrong shape."""

    code = "bad_json"
    status = 400


class BadPrompt(RequestError):
    """A value in the prompt is missing or wrong.

    Attributes:
        path: where the value stands in the prompt, e.g. `objects[2].box.x0`.
        problem: the fault.
        expected: a valid value.
    """

    code = "bad_prompt"
    status = 400

    def __init__(self, path: str, problem: str, expected: str) -> None:
        super().__init__(f"prompt: {path}: {problem}; expected {expected}")
        self.path = path
        self.problem = problem
        self.expected = expected


class UnsupportedPrompt(RequestError):
    """The prompt is valid, but this model has no use for it.

    Attributes:
        path: where the prompt stands, e.g. `objects[2].points`.
        problem: the prompt that the model cannot use.
        expected: prompts that it can use.
    """

    code = "unsupported_prompt"
    status = 422

    def __init__(self, path: str, problem: str, expected: str) -> None:
        super().__init__(f"prompt: {path}: {problem}; expected {expected}")
        self.path = path
        self.problem = problem
        self.expected = expected


class BadImage(RequestError):
    """The bytes are not an image that can be read to its end."""

    code = "bad_image"
    status = 400


class ImageTooLarge(RequestError):
    """The image, or what an answer about its objects would take, is beyond a limit."""

    code = "image_too_large"
    status = 413


class OutOfMemory(RequestError):
    """The request alone does not fit into the memory of the host or the device."""

    code = "out_of_memory"
    status = 507


class Overloaded(RequestError):
    """The worker has as much waiting work as it may hold."""

    code = "overloaded"
    status = 503


class Unauthorized(RequestError):
    """The requester did not show the token that this server asks for."""

    code = "unauthorized"
    status = 401


class NotAcceptable(RequestError):
    """None of the forms that the requester takes answers in is one that this server writes."""

    code = "not_acceptable"
    status = 406


class SlowUpload(RequestError):
    """The body of a request took longer than a request may take."""

    code = "slow_upload"
    status = 408


class TimedOut(RequestError):
    """The request arrived, but its answer was not ready within the time that a request may take."""

    code = "timed_out"
    status = 504


class HttpError(RequestError):
    """A request that HTTP itself has an answer for. Its code is the status's phrase, e.g. `not_found`."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        phrase = "URI Too Long" if status == HTTPStatus.REQUEST_URI_TOO_LONG else HTTPStatus(status).phrase  # RFC 9110
        self.code = phrase.lower().replace(" ", "_").replace("-", "_")


class Internal(RequestError):
    """Something failed that is not the requester's fault. The worker's log has the details."""

    code = "internal"
    status = 500


class ConfigError(MaskworksError):
    """The flags are wrong. `problems` lists everything that was found, not only the first."""

    exit_code = 2

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class TransportError(MaskworksError):
    """Requests cannot be read or results cannot be delivered: a matter of folders or servers, not of one request."""

    exit_code = 1


class GaveUp(TransportError):
    """The server stayed out of reach for longer than allowed."""

    exit_code = 4


class CheckpointError(MaskworksError):
    """A model file is missing, broken, or not for this model."""

    exit_code = 5


class UnsafeCheckpoint(CheckpointError):
    """Loading the file would run code from it, which needs a flag."""


class DeviceError(MaskworksError):
    """The device that was asked for does not exist here or does not work."""

    exit_code = 6


def reason_of(error: OSError, *, file: bool = False) -> str:
    """What the system said, as `No space left on device`; with `file` also about which file, if that is known."""
    reason = error.strerror or "".join(map(str, error.args[:1])) or type(error).__name__  # libraries give one text
    return f"{reason}: {error.filename}" if file and error.filename is not None else reason
