"""What a path that takes images by POST has to be: it finds the format of a request in its headers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from maskworks.types import Format


class HttpFormat(Format, Protocol):
    """How one request is read and answered; its answer has the one part `reply`.

    Attributes:
        headers: of the answer.
    """

    @property
    def headers(self) -> Mapping[str, str]: ...


class Endpoint(Protocol):
    """A path that takes images by POST.

    Attributes:
        path: where it is.
        operation: what OpenAPI says about it, apart from errors.
    """

    @property
    def path(self) -> str: ...

    @property
    def operation(self) -> Mapping[str, Any]: ...

    def most_bytes(self, media_type: str, max_bytes: int) -> int:
        """The most bytes that a body of this media type may have, where an image file may have `max_bytes`."""
        ...

    def format(self, content_type: str, accept: str, accept_encoding: str, query: Mapping[str, str]) -> HttpFormat:
        """The format of a request with these headers ("" for those it lacks) and this query.

        Raises:
            NotAcceptable: no answer is of a type that the requester takes.
        """
        ...
