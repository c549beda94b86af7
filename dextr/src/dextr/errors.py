"""Every error that dextr raises on its own account.

    DextrError
    ├── CheckpointError              a model file is missing, broken, or holds no DEXTR model
    │   └── UnsafeCheckpointError    reading the file would run code from it
    └── DownloadError                a model file cannot be fetched

Wrong arguments are ValueErrors and TypeErrors, as everywhere in Python.
"""

from __future__ import annotations


class DextrError(Exception):
    """Base of the errors here. The text says what was wrong, what was expected, and what to do."""


class CheckpointError(DextrError):
    """A model file is missing, broken, or holds no DEXTR model."""


class UnsafeCheckpointError(CheckpointError):
    """Reading the file would run code from it, and nobody asked for that.

    Attributes:
        offender: what the file asks for, e.g. `posix.system`; empty where it is the file's format as such.
    """

    def __init__(self, message: str, offender: str = "") -> None:
        super().__init__(message)
        self.offender = offender


class DownloadError(DextrError):
    """A model file cannot be fetched, or what arrived is not that file."""
