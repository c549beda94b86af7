"""Cuts what comes on a connection where heads and bodies end: limits on heads do not depend on how packets come."""

from __future__ import annotations

import re
from dataclasses import dataclass

from maskworks.errors import HttpError
from maskworks.transports.http.head import RequestLine, for_parser, may_begin, read_line

MOST_LINE_BYTES = 64 * 1024
MOST_HEADER_BYTES = 64 * 1024

_EMPTY_LINE = b"\r\n\r\n"
_BARE_END = re.compile(rb"(?<!\r)\n")
_SLICE = 16 * 1024  # of a chunked body, at a time


@dataclass(frozen=True, slots=True)
class Head:
    """A whole head.

    Attributes:
        line: its first line.
        text: what the parser is to read.
    """

    line: RequestLine
    text: bytes


class Framing:
    """What has arrived on a connection and was not taken. Begins with a head."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._line: RequestLine | None = None
        self._left: int | None = 0  # of a body; None while only the parser knows where it ends
        self._last = b""  # of a chunked body: the end of it may lie on both sides of a cut
        self.expect_head()

    @property
    def line(self) -> RequestLine | None:
        """The first line of the next head, if that much is there."""
        return self._line

    @property
    def begun(self) -> bool:
        """Whether a part of the next head is there."""
        return self._in_head and bool(self._line or self._bytes)

    def feed(self, data: bytes) -> None:
        """More has come."""
        self._bytes += data

    def clear(self) -> None:
        """Throws away all that has come."""
        self._bytes.clear()
        self._line = None

    def expect_head(self) -> None:
        """A request has ended."""
        self._in_head, self._line, self._searched = True, None, 0

    def expect_body(self, length: int | None) -> None:
        """A head has ended; its body has this many bytes, or says itself where it ends."""
        self._in_head, self._left, self._last = False, length, b""

    def take(self) -> Head | bytes | None:
        """A whole head or a part of a body, which are each followed by `expect_...`; None until more has come.

        Raises:
            HttpError: what has come is no head, or is too long for one.
        """
        if self._in_head:
            return self._take_head()
        piece = bytes(self._bytes[: self._length()])
        del self._bytes[: len(piece)]
        if self._left is not None:
            self._left -= len(piece)
        self._last = (self._last + piece[-3:])[-3:]
        return piece or None

    def _length(self) -> int:
        """How far a body goes at most. A chunked one ends with an empty line, although not each of them is its end."""
        if self._left is not None:
            return self._left
        found = (self._last + self._bytes[:_SLICE]).find(_EMPTY_LINE)
        return _SLICE if found < 0 else found + len(_EMPTY_LINE) - len(self._last)

    def _take_head(self) -> Head | None:
        if self._line is None:
            self._line = self._take_line()
            if self._line is None:
                return None
        if self._bytes.startswith(b"\r\n"):
            end, size = 0, 2
        else:
            end = self._bytes.find(_EMPTY_LINE, max(0, self._searched - 3))
            size = len(self._bytes) if end < 0 else end + len(_EMPTY_LINE)
        if size > MOST_HEADER_BYTES:
            raise HttpError(431, f"headers of more than {MOST_HEADER_BYTES} bytes; expected no more")
        if _BARE_END.search(self._bytes, max(0, self._searched - 1), size):
            raise HttpError(400, "a header that ends with LF alone; expected CR and LF")
        if end < 0:
            self._searched = size
            return None
        headers = bytes(self._bytes[:size])
        del self._bytes[:size]
        return Head(self._line, for_parser(self._line, headers))

    def _take_line(self) -> RequestLine | None:
        while self._bytes.startswith(b"\r\n"):  # empty lines before a request do not count (RFC 9112, section 2.2)
            del self._bytes[:2]
        if len(self._bytes) < 2 and self._bytes.startswith(b"\r"[: len(self._bytes)]):
            return None
        end = self._bytes.find(b"\n", self._searched)
        if (len(self._bytes) if end < 0 else end + 1) > MOST_LINE_BYTES:
            most = f"{MOST_LINE_BYTES} bytes"
            raise HttpError(
                414, f"a path with a query of more than {most}; expected no more: put the prompt into the body"
            )
        if not may_begin(self._bytes):
            raise HttpError(400, "not HTTP; expected a line such as POST /predict HTTP/1.1")
        if end < 0:
            self._searched = len(self._bytes)
            return None
        line = read_line(bytes(self._bytes[: end + 1]))
        del self._bytes[: end + 1]
        self._searched = 0
        return line
