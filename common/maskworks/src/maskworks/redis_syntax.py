"""What Redis and its client make of two kinds of text: the URL of a server, and a pattern of channels."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, urlsplit

# They change the types of what the server answers.
_REFUSED_OPTIONS = ("decode_responses", "protocol")
# The client would find out only when it connects, and that is tried again and again.
_FILE_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
# Patterns that fnmatch reads as Redis does, but for the sign in front of characters that are excluded.
_PLAIN_PATTERN = re.compile(r"(?:[^\[\]\\]|\[\^?(?:\w-\w|\w)+\])*", re.DOTALL)


def url_problem(url: str) -> str:
    """What is wrong with a server's URL; "" if nothing is. The text has nothing of the URL that may be a password."""
    if not url.startswith(("redis://", "rediss://", "unix://")):
        return "expected a URL that starts with redis://, rediss:// (TLS) or unix://"
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - it is read only now
        readable = is_host(parts.hostname or "")
    except ValueError:
        readable = False
    if not readable:
        return "its host or port cannot be read; expected redis://USER:PASSWORD@HOST:PORT/DATABASE"
    if _has_stray_at(parts):
        return "there is an @ behind the host; write /, #, ? and @ in user, password and options as %2F, %23, %3F, %40"
    given = parse_qs(parts.query)
    for name in _REFUSED_OPTIONS:
        if name in given:
            return f"the option {name} cannot be used here; leave it out"
    for name in _FILE_OPTIONS:
        for path in given.get(name, ()):
            if not _can_be_read(path):
                return f"{name}: {path!a} is no file that can be read; correct the path"
    return _refusal_of_client(url)


def is_host(name: str) -> bool:
    """Whether the system can be asked for the address of a host of this name."""
    try:
        name.encode("idna")
    except UnicodeError:
        return False
    return True


def without_password(url: str) -> str:
    """A server's URL for messages: without user, password and options, and without all that may be part of them."""
    parts = urlsplit(url)
    place = "" if _has_stray_at(parts) else parts.netloc.rpartition("@")[2] + parts.path
    return f"{parts.scheme}://{place}"


def matches(pattern: str, channel: str) -> bool:
    """Whether PSUBSCRIBE with this pattern gets what is published on the channel, if that is easily told.

    False for patterns with backslashes or unusual characters in brackets, whatever they match.
    """
    return bool(_PLAIN_PATTERN.fullmatch(pattern)) and fnmatchcase(channel, pattern.replace("[^", "[!"))


def _can_be_read(path: str) -> bool:
    try:
        with Path(path).open():
            return True
    except (OSError, ValueError):
        return False


def _has_stray_at(parts: SplitResult) -> bool:
    """A password with a `/`, `#` or `?` ends the host early; the rest of it is read as path, options or fragment."""
    return "@" in parts.path + parts.query + parts.fragment


def _refusal_of_client(url: str) -> str:
    """Nothing is sent: the client only makes a connection that is not open yet, of all the options."""
    import redis

    try:
        redis.ConnectionPool.from_url(url).make_connection()
    except (ValueError, TypeError, AttributeError, redis.RedisError) as error:
        return f"an option in it is wrong: {error}"
    return ""
