"""Media types of bodies and answers."""

from __future__ import annotations

JSON = "application/json"
OPEX = "application/vnd.opex+json"
PNG = "image/png"
MULTIPART = "multipart/form-data"
FIELDS = "application/x-www-form-urlencoded"
OCTETS = "application/octet-stream"
GZIP = "application/gzip"
ANY_IMAGE = "image/*"


def media_type_of(content_type: str) -> str:
    """The header Content-Type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()
