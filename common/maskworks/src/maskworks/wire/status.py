"""What `/health` and `/ready` answer: `{"status"}`, and a `"reason"` if all is not well."""

from __future__ import annotations

from maskworks.wire import jsontext


def encode_status(status: str, reason: str = "") -> bytes:
    """The JSON text; `reason` says what is wrong."""
    return jsontext.write({"status": status, "reason": reason} if reason else {"status": status})
