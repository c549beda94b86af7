"""What Redis makes of names: those of hosts, patterns of channels, and keys that share a slot of a cluster."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

# Patterns that fnmatch reads as Redis does, but for the sign in front of characters that are excluded.
_PLAIN_PATTERN = re.compile(r"(?:[^\[\]\\]|\[\^?(?:\w-\w|\w)+\])*", re.DOTALL)


def is_host(name: str) -> bool:
    """Whether the system can be asked for the address of a host of this name."""
    try:
        name.encode("idna")
    except UnicodeError:
        return False
    return True


def matches(pattern: str, channel: str) -> bool:
    """Whether PSUBSCRIBE with this pattern gets what is published on the channel, if that is easily told.

    False for patterns with backslashes or unusual characters in brackets, whatever they match.
    """
    return bool(_PLAIN_PATTERN.fullmatch(pattern)) and fnmatchcase(channel, pattern.replace("[^", "[!"))


def share_a_slot(keys: Iterable[str]) -> bool:
    """Whether a cluster keeps all of these keys at one place, so that one step may change them."""
    from redis.crc import key_slot

    return len({key_slot(key.encode()) for key in keys}) == 1
