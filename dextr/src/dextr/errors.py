"""Every error that dextr raises on its own account.

    DextrError
    ├── CheckpointError              a model file is missing, broken, or holds no DEXTR model
    │   └── UnsafeCheckpointError    reading the file would run code from it
    ├── DownloadError                a model file cannot be fetched
    ├── ImageFileError               a photo or an annotation cannot be read (also a ValueError)
    └── TrainingError                a training cannot start or go on
        ├── DataError                its flags do not fit together or its data is not usable
        └── DeviceError              the device does not exist here or does not work

Wrong arguments are ValueErrors and TypeErrors, as everywhere in Python.
"""

from __future__ import annotations


class DextrError(Exception):
    """Base of the errors here. The text names the fault, the expectation and the remedy.

    Attributes:
        exit_code: of a command that ends with it.
    """

    exit_code = 1


class CheckpointError(DextrError):
    """A model file is missing, broken, or holds no DEXTR model."""

    exit_code = 5


class UnsafeCheckpointError(CheckpointError):
    """Reading the file would run code from it, without permission.

    Attributes:
        offender: the name that the file calls, e.g. `posix.system`; empty where it is the file's format as such.
    """

    def __init__(self, message: str, offender: str = "") -> None:
        super().__init__(message)
        self.offender = offender


class DownloadError(DextrError):
    """A model file cannot be downloaded, or its checksum is wrong."""

    exit_code = 5


class ImageFileError(DextrError, ValueError):
    """A photo or an annotation cannot be read; the text names the file."""


class TrainingError(DextrError):
    """A training cannot start or go on."""


class DataError(TrainingError):
    """The flags of a training do not fit together, or its data is not usable."""

    exit_code = 2


class DeviceError(TrainingError):
    """The device does not exist here or does not work."""

    exit_code = 6
