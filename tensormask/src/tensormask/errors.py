"""Every error that tensormask raises on its own account.

    TensorMaskError
    ├── ConfigError                  a config file cannot be read, or asks for an unsupported feature
    ├── CheckpointError              a file of weights is missing, broken, or not for this network
    │   └── UnsafeCheckpointError    reading the file would run code from it
    └── DatasetError                 a COCO data set is missing, broken, or empty

Wrong arguments are ValueErrors and TypeErrors, as everywhere in Python.
"""

from __future__ import annotations


class TensorMaskError(Exception):
    """Base of the errors here. The text names the fault, the expectation and the remedy."""


class ConfigError(TensorMaskError):
    """A config cannot be used.

    Attributes:
        problems: everything that was found, not only the first.
    """

    def __init__(self, origin: str, problems: list[str]) -> None:
        super().__init__(f"{origin}: " + "; ".join(problems))
        self.problems = tuple(problems)


class CheckpointError(TensorMaskError):
    """A file of weights is missing, broken, or not for this network."""


class UnsafeCheckpointError(CheckpointError):
    """Reading the file would run code from it.

    Attributes:
        offender: the name that the file calls, e.g. `posix.system`.
    """

    def __init__(self, message: str, offender: str) -> None:
        super().__init__(message)
        self.offender = offender


class DatasetError(TensorMaskError):
    """A COCO data set is missing, broken, or has nothing to train on."""
