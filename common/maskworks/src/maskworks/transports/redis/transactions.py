"""Commands that a server accepts although its memory is full.

A full server refuses commands that might need memory, answers too. But only an answer deletes its request: if workers
waited for memory, the server would stay full of requests for good. Since Redis 7 a script may go beyond the limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis import exceptions

Command = Sequence[str | bytes | int]

_FLAGS = "#!lua flags=allow-oom\n"
# Its arguments: of each command its length, then its words.
_COMMANDS = """
local at, replies = 1, {}
while ARGV[at] do
  local last = at + ARGV[at]
  replies[#replies + 1] = redis.call(unpack(ARGV, at + 1, last))
  at = last + 1
end
return replies
"""
_STAYS_FULL = "so it stays full; raise maxmemory, or use Redis 7 and let the worker's user +eval, see docs/scaling.md"


def write(client: Any, keys: Sequence[str], *commands: Command) -> Sequence[Any]:
    """All of the commands, or none if the server is full, away or refuses one of them; their replies.

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
            replies: Sequence[Any] = transaction.execute()
            return replies
    except (exceptions.OutOfMemoryError, exceptions.ExecAbortError) as error:
        if isinstance(error, exceptions.ExecAbortError) and "OOM" not in str(error):
            raise
        words = [word for command in commands for word in (len(command), *command)]
        found: Sequence[Any] = beyond_the_limit(client, error, _COMMANDS, len(keys), *keys, *words)
        return found


def beyond_the_limit(client: Any, full: Exception, script: str, *words: str | bytes | int) -> Any:
    """The reply to a script that may go beyond the server's limit.

    Args:
        client: of redis-py.
        full: the error with which the server refused without it.
        script: in Lua.
        words: the number of its keys, the keys, its arguments.

    Raises:
        redis.OutOfMemoryError: the server is too old or does not let this user do so.
        redis.RedisError: it is away, or a command of the script failed.
    """
    try:
        return client.eval(_FLAGS + script, *words)
    except exceptions.ResponseError as error:
        if "@user_script" in str(error):  # a command of the script failed, not the script
            raise
        raise exceptions.OutOfMemoryError(f"{full} {_STAYS_FULL}") from None
