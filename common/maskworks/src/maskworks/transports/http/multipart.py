"""Bodies of type multipart/form-data, as browsers, `curl -F` and libraries send them (RFC 7578, RFC 2046)."""

from __future__ import annotations

import binascii
import quopri
import re
from collections.abc import Iterator

from python_multipart.multipart import parse_options_header

from maskworks.errors import BadImage

MOST_PARTS = 16
_MOST_HEADER_BYTES = 16 * 1024
_LONGEST_BOUNDARY = 200
_HINT = "; let the HTTP library set this header itself"
_CUT_OFF = "cut off before its last boundary"
_AS_IS = ("", "7bit", "8bit", "binary")


def read_parts(body: bytes | bytearray, content_type: str) -> dict[str, bytes]:
    """The contents of the parts by their names.

    What stands before the first boundary and behind the last one is passed over. Lines may end in CRLF or in LF, all in
    the same. Parts may be encoded (`Content-Transfer-Encoding`) by base64 or quoted-printable.

    Args:
        body: the whole body.
        content_type: the header, with the boundary.

    Raises:
        BadImage: it is not multipart/form-data, is cut off, has a part without a name, two of one name, or too many.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not boundary:
        raise _broken(f"no boundary in Content-Type{_HINT}")
    if len(boundary) > _LONGEST_BOUNDARY:
        raise _broken(f"a boundary of {len(boundary)} bytes")
    parts: dict[str, bytes] = {}
    for headers, content in _split(bytes(body), boundary):
        if len(parts) >= MOST_PARTS:
            raise _broken(f"more than {MOST_PARTS} parts")
        name = parse_options_header(headers.get("content-disposition"))[1].get(b"name", b"").decode("utf-8", "replace")
        if not name:
            raise _broken("a part without a name")
        if name in parts:
            raise _broken(f"two parts named {name[:40]!r}")
        parts[name] = _decoded(content, headers.get("content-transfer-encoding", "").strip().lower(), name)
    return parts


def looks_like_parts(body: bytes | bytearray) -> bool:
    """Whether a body of another type is such a form all the same."""
    return body[:2] == b"--" and b"form-data" in body[:1000].lower()


def _split(body: bytes, boundary: bytes) -> Iterator[tuple[dict[str, str], bytes]]:
    """The headers of each part and its content. The end of the first line tells how all of them end."""
    mark = re.escape(boundary)
    first = re.search(rb"(?:\A|\n)--%s(--)?[ \t]*(\r?\n|\Z)" % mark, body)
    if first is None:
        raise _broken("its boundary is not there" if body else _CUT_OFF)
    if first[1]:
        return
    newline, start = first[2], first.end()
    if not newline:
        raise _broken(_CUT_OFF)
    delimiter = re.compile(rb"%s--%s(?:(--)[ \t]*(?:%s|\Z)|[ \t]*%s)" % (newline, mark, newline, newline))
    while True:
        # The line before may be the one that the part's headers would end with: a part without headers.
        end = delimiter.search(body, start - len(newline))
        if end is None:
            raise _broken(_CUT_OFF)
        yield _part(body[start : end.start()], newline)
        if end[1]:
            return
        start = end.end()


def _part(part: bytes, newline: bytes) -> tuple[dict[str, str], bytes]:
    if part.startswith(newline):
        return {}, part[len(newline) :]
    head, blank, _ = part[:_MOST_HEADER_BYTES].partition(2 * newline)
    if not blank:
        raise _broken(f"a part without an empty line behind its headers, of {_MOST_HEADER_BYTES} bytes at most")
    return _headers(head.decode("latin-1")), part[len(head) + len(blank) :]


def _headers(head: str) -> dict[str, str]:
    """By their names in lower case; a line that begins with a blank goes on with the one before.

    Characters are bytes: browsers write names of files in UTF-8, and `parse_options_header` gives these bytes back.
    """
    headers = {}
    for line in re.split(r"\r?\n", re.sub(r"\r?\n[ \t]+", " ", head)):
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise _broken(f"a header without a colon, {line[:40]!r}")
        headers[name.strip().lower()] = value.strip()
    return headers


def _decoded(content: bytes, encoding: str, name: str) -> bytes:
    if encoding in _AS_IS:
        return content
    if encoding == "quoted-printable":
        return quopri.decodestring(content)
    if encoding != "base64":
        raise _broken(f"part {name[:40]!r}: Content-Transfer-Encoding {encoding[:40]!r}; expected base64 or none")
    try:
        return binascii.a2b_base64(re.sub(rb"\s+", b"", content), strict_mode=True)
    except binascii.Error as error:
        raise _broken(f"part {name[:40]!r}: not base64: {error}") from None


def _broken(problem: str) -> BadImage:
    return BadImage(f"body: multipart/form-data: {problem}; expected the parts image and prompt")
