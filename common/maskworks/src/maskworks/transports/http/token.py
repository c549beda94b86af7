"""The bearer token that requests have to show (RFC 6750)."""

from __future__ import annotations

import hmac

from starlette.requests import HTTPConnection

from maskworks.errors import Unauthorized


def check_token(request: HTTPConnection, token: str | None) -> None:
    """Raises Unauthorized unless the request shows the token, in UTF-8; None means that everybody may ask.

    The comparison takes the same time wherever the two differ.
    """
    if token is None:
        return
    scheme, _, shown = request.headers.get("authorization", "").partition(" ")
    sent = shown.strip(" \t").encode("latin-1")  # the bytes of the header, which Starlette reads as Latin-1
    if scheme.lower() != "bearer" or not hmac.compare_digest(sent, token.encode(errors="surrogateescape")):
        raise Unauthorized("this server asks for a token; send the header Authorization: Bearer TOKEN")
