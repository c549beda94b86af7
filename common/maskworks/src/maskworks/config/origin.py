"""Origins of web pages, as flags name them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

ANY_ORIGIN = "*"

_ORIGIN = re.compile(r"(https?)://([^/?#@*\\\s]+)", re.IGNORECASE)
USUAL_PORTS = {"http": ":80", "https": ":443"}  # that browsers leave out


def read_origin(text: str) -> str | None:
    """An origin as browsers write it, in lower case and without the usual port; None if it is none."""
    found = _ORIGIN.fullmatch(text)
    if found is None:
        return None
    scheme, authority = found[1].lower(), found[2].lower()
    try:
        parts = urlsplit(f"//{authority}")
        named = parts.hostname is not None and parts.port != 0
    except ValueError:
        return None
    return f"{scheme}://{authority.removesuffix(USUAL_PORTS[scheme])}" if named else None
