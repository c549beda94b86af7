"""The head of a request: its first line, and what is asked of its headers (RFC 9110, RFC 9112).

The parser of httptools reads the head after this, strictly: no folded lines, no space before a colon, no control
characters, one Content-Length, none beside Transfer-Encoding.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from maskworks.errors import HttpError

Headers = Iterable[tuple[bytes, bytes]]

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
_START = re.compile(rb"%s{1,64}(?: |\Z)" % _TOKEN)
_LINE = re.compile(rb"(%s+) ([^\x00-\x20\x7f]+) HTTP/(\d\.\d)\r\n" % _TOKEN)
_ABSOLUTE = re.compile(rb"https?://([^/?#]+)(.*)", re.IGNORECASE | re.DOTALL)
_HOST = re.compile(rb"(?:[0-9A-Za-z._~!$&'()*+,;=%-]*|\[[0-9A-Za-z:.%_-]+\])(?::[0-9]*)?")
_UPGRADE = re.compile(rb"^upgrade:[^\n]*\n", re.IGNORECASE | re.MULTILINE)
_MOST_DIGITS = 19
_METHODS = frozenset((b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE"))


@dataclass(frozen=True, slots=True)
class RequestLine:
    """The first line of a request.

    Attributes:
        method: one of those that HTTP defines, but CONNECT.
        target: a path with its query, or `*` for the server as a whole.
        authority: the host and port of a target that names them; b"" for others.
        version: b"1.0" or b"1.1".
    """

    method: bytes
    target: bytes
    authority: bytes
    version: bytes


def may_begin(start: bytes | bytearray) -> bool:
    """Whether a request may begin with these bytes, which are at least one."""
    return _START.match(start) is not None


def read_line(line: bytes) -> RequestLine:
    """Takes apart the first line, with its end.

    Raises:
        HttpError: it is none (400), or has a method (501) or a version (505) that is not served here.
    """
    found = _LINE.fullmatch(line)
    if found is None:
        raise HttpError(400, f"{_shown(line)}: not HTTP; expected a line such as POST /predict HTTP/1.1")
    method, target, version = found.groups()
    if version not in (b"1.0", b"1.1"):
        raise HttpError(505, f"HTTP/{version.decode()}: not spoken here; expected HTTP/1.1")
    if method == b"CONNECT":
        raise HttpError(400, "CONNECT: this is no proxy; expected a request for a path of this server")
    if method not in _METHODS:
        raise HttpError(501, f"{_shown(method)}: no method that is known here; expected GET, HEAD, POST or OPTIONS")
    if b"#" in target:
        raise HttpError(400, f"{_shown(target)}: a target has no fragment; expected a path of this server")
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is not None:
        authority, rest = absolute.groups()
        check_host(authority)
        return RequestLine(method, rest if rest.startswith(b"/") else b"/" + rest, authority, version)
    if not target.startswith(b"/") and (method, target) != (b"OPTIONS", b"*"):
        raise HttpError(400, f"{_shown(target)}: no path; expected one that begins with /")
    return RequestLine(method, target, b"", version)


def for_parser(line: RequestLine, headers: bytes) -> bytes:
    """The head as the parser of httptools is to see it.

    Offers of another protocol are left out, as a server has to ignore those that it does not know (RFC 9110, section
    7.8): that parser takes what comes after such a head for the other protocol.
    """
    target = b"/" if line.target == b"*" else line.target
    return b"%s %s HTTP/%s\r\n%s" % (line.method, target, line.version, _UPGRADE.sub(b"", headers))


def check_headers(headers: Headers, version: str) -> None:
    """Raises HttpError unless the headers, with names in lower case, say for which host and how long a body is."""
    hosts, codings = _values(headers, b"host"), _values(headers, b"transfer-encoding")
    if len(hosts) > 1:
        raise HttpError(400, f"{len(hosts)} headers Host; expected one")
    if not hosts and version == "1.1":
        raise HttpError(400, "no header Host; expected one, as HTTP/1.1 asks for it")
    for host in hosts:
        check_host(host)
    for length in _values(headers, b"content-length"):
        if len(length) > _MOST_DIGITS:
            raise HttpError(400, f"Content-Length: {_shown(length)}: no length; expected {_MOST_DIGITS} digits at most")
    if not codings:
        return
    coding = b",".join(codings)
    if version == "1.0":
        raise HttpError(400, "Transfer-Encoding in HTTP/1.0, which does not have it; expected Content-Length")
    names = [name.strip().lower() for name in coding.split(b",")]
    if names.count(b"chunked") > 1:
        raise HttpError(400, f"Transfer-Encoding: {_shown(coding)}: chunked twice; expected chunked")
    if names != [b"chunked"]:
        raise HttpError(501, f"Transfer-Encoding: {_shown(coding)}: not read here; expected chunked, or Content-Length")


def check_host(host: bytes) -> None:
    """Raises HttpError unless this is a name or an address, with or without a port."""
    if _HOST.fullmatch(host) is None:
        raise HttpError(400, f"Host: {_shown(host)}: no host; expected NAME or NAME:PORT")


def with_host(headers: Headers, authority: bytes) -> list[tuple[bytes, bytes]]:
    """The headers with the host that the target names, which counts instead of the header's (RFC 9112, 3.2.2)."""
    return [(name, authority if name == b"host" else value) for name, value in headers]


def _values(headers: Headers, wanted: bytes) -> list[bytes]:
    return [value for name, value in headers if name == wanted]


def _shown(text: bytes) -> str:
    """The start of what a client sent, for a message."""
    return text[:80].decode("ascii", "replace").strip()
