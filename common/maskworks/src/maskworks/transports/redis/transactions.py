"""Transactions that a server accepts although its memory is full.

A full server refuses commands that might need memory, answers too. But only an answer deletes its request: if workers
waited for memory, the server would stay full of requests for good. Since Redis 7 a script may go beyond the limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis import exceptions

Command = Sequence[str | bytes | int]

# Its arguments: of each command its length, then its words.
_BEYOND_THE_LIMIT = """#!lua flags=allow-oom
local at = 1
while ARGV[at] do
  local last = at + ARGV[at]
  redis.call(unpack(ARGV, at + 1, last))
  at = last + 1
end
"""
_STAYS_FULL = "so it stays full; raise maxmemory, or use Redis 7 and let the worker's user +eval, see docs/scaling.md"


def write(client: Any, keys: Sequence[str], *commands: Command) -> None:
    """All of the commands, or none if the server is full, away or refuses one of them.

    It goes on after a command that fails for what a key holds.

    Args:
        client: of redis-py.
        keys: that they write to.
        commands: the words of each.

    Raises:
        redis.OutOfMemoryError: the server is full, and it is too old or does not let this user go beyond its limit.
        redis.RedisError: it is away or refuses, or a command failed.
    """
    try:
        with client.pipeline(transaction=True) as transaction:
            for command in commands:
                transaction.execute_command(*command)
            transaction.execute()
    except (exceptions.OutOfMemoryError, exceptions.ExecAbortError) as error:
        if isinstance(error, exceptions.ExecAbortError) and "OOM" not in str(error):
            raise
        _write_beyond_the_limit(client, keys, commands, error)


def _write_beyond_the_limit(client: Any, keys: Sequence[str], commands: Sequence[Command], full: Exception) -> None:
    words = [word for command in commands for word in (len(command), *command)]
    try:
        client.eval(_BEYOND_THE_LIMIT, len(keys), *keys, *words)
    except exceptions.ResponseError as error:
        if "@user_script" in str(error):  # a command of the script failed, not the script
            raise
        raise exceptions.OutOfMemoryError(f"{full} {_STAYS_FULL}") from None
