"""Why a server cannot be reached, in our words: those of redis-py name error numbers, sockets and Python objects."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from collections.abc import Iterator

from redis import exceptions

NO_ANSWER = "no answer in time: the server hangs, or the network in between is silent"
NO_REDIS = "what it sends is not its protocol: it is no Redis, or wants TLS (rediss://); check host and port"
_OF_THE_SYSTEM = {
    errno.ECONNREFUSED: "connection refused: no server listens there; see whether it runs, and check host and port",
    errno.ECONNRESET: "the connection broke",
    errno.EPIPE: "the connection broke",
    errno.EAGAIN: NO_ANSWER,
    errno.ENOENT: "no such file or directory",
    errno.ENETUNREACH: "no way through the network to this host",
    errno.EHOSTUNREACH: "no way through the network to this host",
}
# What redis-py says without an error of the system behind it -> what it means.
_OF_THE_LIBRARY = (
    (re.compile(r"^Timeout connecting"), "no connection in time: the host is away, or drops what is sent to this port"),
    (re.compile(r"^Timeout"), NO_ANSWER),
    (re.compile(r"^Connection closed by server"), "the server closed the connection"),
    (re.compile(r"Redis Cluster cannot be connected"), "no node of the cluster answers; check hosts and ports"),
)
_NO_MASTER = re.compile(r"^No master found for '[^']*'")


def reason(error: Exception) -> str:
    """Why a command failed. What the server itself said stays as it is."""
    text = str(error)
    if no_master := _NO_MASTER.match(text):
        return f"{no_master[0]}: the Sentinels do not answer, or know no master of this name that is up"
    if isinstance(error, exceptions.InvalidResponse):
        return NO_REDIS
    if not isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError | exceptions.RedisClusterException):
        return text
    for pattern, meaning in _OF_THE_LIBRARY:
        if pattern.search(text):
            return meaning
    return next((said for cause in _causes(error) if (said := _of_the_system(cause))), text)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """What the library caught; not more than this error is about."""
    cause = error.__cause__ or error.__context__
    if cause is not None:
        yield cause
        yield from _causes(cause)


def _of_the_system(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"TLS: certificate not accepted: {error.verify_message}; name the one to trust as ssl_ca_certs in the URL"
        )
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or error}); check whether this port speaks TLS"
    if isinstance(error, socket.gaierror):
        return f"the host's name is not known ({error.strerror})"
    if isinstance(error, OSError) and error.errno is not None:
        return _OF_THE_SYSTEM.get(error.errno) or str(error.strerror)
    return ""
