"""Errors of a server and of redis-py: the ones that pass, refusals, and those that are one requester's."""

from __future__ import annotations

from typing import Any

from redis import exceptions
from redis._parsers import BaseParser

from maskworks.errors import TransportError

# Transient: the server is away, starting, out of memory, or about to become a master.
TRANSIENT = (
    exceptions.ConnectionError, exceptions.TimeoutError, exceptions.BusyLoadingError, exceptions.OutOfMemoryError,
    exceptions.ReadOnlyError, exceptions.TryAgainError, exceptions.MasterDownError, exceptions.ClusterDownError,
    exceptions.RedisClusterException,
)  # fmt: skip
# Not transient, although the first of them counts as an error of the connection.
REFUSED = (exceptions.AuthenticationError, exceptions.AuthorizationError, exceptions.NoPermissionError)
# Transient, too, but without a class of its own: too few replicas, a full disk, a script that runs.
_TRANSIENT_CODES = frozenset({"NOREPLICAS", "MISCONF", "BUSY"})


class Unwritable(TransportError):
    """A channel or stream that this user may not write to, or that is something else."""


class TargetRefused(exceptions.ResponseError):
    """The stream that an answer should go to does not take it, for a reason that does not pass."""


def is_transient(error: Exception) -> bool:
    """True for errors of the server or the connection that pass by themselves."""
    return isinstance(error, TRANSIENT) or error_code(error) in _TRANSIENT_CODES


def error_code(error: Exception) -> str:
    """The word that an error of the server begins with, which redis-py leaves out where it has a class for it."""
    return str(error).rpartition("caused error: ")[2].partition(" ")[0]


def error_from(text: str) -> Exception:
    """A server's error with all of its text: redis-py itself leaves out its first word, the code."""
    parser: Any = BaseParser
    kind: type[Exception] = type(parser.parse_error(text))
    return kind(text)
