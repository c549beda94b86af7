"""What an error of the system says to people."""

from __future__ import annotations

import errno

import pytest

from maskworks.errors import reason_of

FULL = "No space left on device"


def with_file(error: OSError) -> OSError:
    error.filename = "x"
    return error


@pytest.mark.parametrize(
    ("error", "reason", "of_file"),
    [
        (OSError(errno.ENOSPC, FULL), FULL, FULL),
        (OSError(errno.ENOSPC, FULL, "out/a.png"), FULL, f"{FULL}: out/a.png"),
        (OSError("a text of a library"), "a text of a library", "a text of a library"),
        (with_file(OSError("a text of a library")), "a text of a library", "a text of a library: x"),
        (ConnectionResetError(), "ConnectionResetError", "ConnectionResetError"),
    ],
)
def test_no_reason_is_none(error, reason, of_file):
    assert (reason_of(error), reason_of(error, file=True)) == (reason, of_file)
