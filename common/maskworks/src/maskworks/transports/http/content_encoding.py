"""Bodies that arrive compressed (RFC 9110, section 8.4): they are inflated a little at a time, within a bound."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from maskworks.errors import HttpError

_PIECE = 1 << 20  # bytes that are made at a time; a kilobyte may become a megabyte
_MOST_MEMBERS = 100
_GZIP = 16 + zlib.MAX_WBITS


class Plain:
    """A body that is as it is."""

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """The content of the next bytes that arrived."""
        yield chunk

    def finish(self) -> None:
        """Says that no more will come; raises HttpError if there should be more."""


class Gzip(Plain):
    """A body in gzip, of one member or of several."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(_GZIP)
        self._begun, self._members = False, 0

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        while chunk:
            if self._inflater.eof:
                if not chunk.strip(b"\0"):  # padding
                    return
                self._inflater = zlib.decompressobj(_GZIP)
                self._members += 1
            if self._members >= _MOST_MEMBERS:  # empty ones are work, and no bytes that a limit would count
                raise _broken(f"more than {_MOST_MEMBERS} members")
            self._begun = True
            try:
                piece = self._inflater.decompress(chunk, _PIECE)
            except zlib.error as error:
                raise _broken(str(error)) from None
            chunk = self._inflater.unconsumed_tail or self._inflater.unused_data
            if piece:
                yield piece
        while not self._inflater.eof and (piece := self._rest()):
            yield piece

    def finish(self) -> None:
        if self._begun and not self._inflater.eof:
            raise _broken("cut off before its end")

    def _rest(self) -> bytes:
        """What the inflater still holds back because a piece was full."""
        try:
            return self._inflater.decompress(b"", _PIECE)
        except zlib.error as error:
            raise _broken(str(error)) from None


def decoding_of(content_encoding: str) -> Plain:
    """What undoes the header Content-Encoding.

    Raises:
        HttpError: 415, it names an encoding that is not read here.
    """
    names = [name.strip().lower() for name in content_encoding.split(",")]
    codings = [name for name in names if name not in ("", "identity")]
    if not codings:
        return Plain()
    if codings in (["gzip"], ["x-gzip"]):
        return Gzip()
    raise HttpError(415, f"Content-Encoding: {content_encoding[:60]}: not read here; expected gzip, or none")


def _broken(problem: str) -> HttpError:
    return HttpError(400, f"body: Content-Encoding: gzip: {problem}; expected a complete gzip file")
