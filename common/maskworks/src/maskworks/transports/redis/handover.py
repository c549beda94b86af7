"""A request and its answer change hands: the answer is there and the request is gone, or neither.

A transaction is not enough: it goes on after a command that failed for what a key holds, so the request would be gone,
and its answer, too. A script on the server looks first. Where the worker's user has no right to EVAL, the worker looks
first; what happens between its look and its transaction can still cost an answer.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any

from redis import exceptions
from redis.crc import key_slot

from maskworks.transports.redis.faults import TargetRefused, error_from, is_transient
from maskworks.transports.redis.transactions import Command, beyond_the_limit, write

log = logging.getLogger(__name__)

NO_STREAM = "is no stream"

_LAST_ID = b"18446744073709551615-18446744073709551615"

# Keys: the answer's stream, the requests'. Arguments: group and entry, then the command that adds the answer.
# An entry 0-0 never exists: the commands on it change nothing, but tell whether they may run. A stream of requests
# that became something else has nothing to acknowledge any more; the answer in hand is still wanted.
_SCRIPT = """
local function refusal(reply)
  return type(reply) == 'table' and reply.err
end
local lost = refusal(redis.pcall('XACK', KEYS[2], ARGV[1], '0-0')) or refusal(redis.pcall('XDEL', KEYS[2], '0-0'))
if lost and not string.find(lost, 'WRONGTYPE', 1, true) then
  return {'requests', lost}
end
local unwritable = refusal(redis.pcall(unpack(ARGV, 3)))
if unwritable then
  return {'answer', unwritable}
end
if lost then
  return 0
end
local known = redis.call('XACK', KEYS[2], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[2], ARGV[2])
return known
"""
_WITHOUT_SCRIPTS = (
    "without +eval an answer is lost if its stream becomes something else in the very moment it is written, "
    "and a full server may stay full, see docs/scaling.md"
)
# What Redis 6 puts before an error of a command in a script.
_PLACE_IN_SCRIPT = re.compile(r"^@user_script: ?\d+: -?")


class Handover:
    """Hands over the answers to requests of one stream and group.

    Args:
        client: of redis-py.
        source: the stream of the requests.
        group: the consumer group.
    """

    def __init__(self, client: Any, source: str, group: str) -> None:
        self._client, self._source, self._group = client, source, group
        self.by_script = True  # until the server says that this user may not
        self.one_slot = False  # whether all keys of a command have to share a hash slot, as in a cluster

    def look_ahead(self) -> None:
        """Finds out whether the user may run scripts, and says so if not; changes nothing.

        Raises:
            redis.NoPermissionError: the user may not even acknowledge requests.
            redis.RedisError: the server is away or refuses.
        """
        self._client.execute_command("XACK", self._source, self._group, "0-0")
        self._client.execute_command("XDEL", self._source, "0-0")
        try:
            self._client.eval("return 1", 1, self._source)
        except exceptions.NoPermissionError as error:
            self._without_scripts(error)

    def give(self, entry: bytes, target: str, added: Command) -> bool:
        """Adds an answer and takes its request out of stream and group: both or, after any error, neither.

        Args:
            entry: the request.
            target: the stream that the answer goes to.
            added: the command that adds it.

        Returns:
            False if the request was not there any more: somebody else has answered it, or the stream was emptied.

        Raises:
            TargetRefused: the target does not take answers.
            redis.OutOfMemoryError: the server is full, and it is too old or does not let this user go beyond its limit.
            redis.RedisError: it is away or refuses.
        """
        if target == self._source:
            raise TargetRefused(f"{target!a} is where requests come from, and the answer would be one")
        self._check_slot(target)
        if self.by_script:
            try:
                return self._given_by_script(entry, target, added)
            except exceptions.NoPermissionError as error:
                if "'eval' command" not in str(error):
                    raise TargetRefused(str(error)) from None
                self._without_scripts(error)
        return self._given_after_a_look(entry, target, added)

    def _check_slot(self, target: str) -> None:
        if self.one_slot and key_slot(target.encode()) != key_slot(self._source.encode()):
            raise TargetRefused(
                f"CROSSSLOT in a cluster {target!a} has to share the hash slot of {self._source!a}: "
                "give both the same {hash tag}"
            )

    def _without_scripts(self, error: Exception) -> None:
        self.by_script = False
        log.warning("%s; %s", error, _WITHOUT_SCRIPTS)

    def _given_by_script(self, entry: bytes, target: str, added: Command) -> bool:
        words: Sequence[str | bytes | int] = (2, target, self._source, self._group, entry, *added)
        try:
            return _known(self._client.eval(_SCRIPT, *words))
        except exceptions.OutOfMemoryError as full:
            return _known(beyond_the_limit(self._client, full, _SCRIPT, *words))

    def _given_after_a_look(self, entry: bytes, target: str, added: Command) -> bool:
        if problem := stream_problem(self._client, target):
            raise TargetRefused(f"{target!a} {problem}")
        acknowledge: list[Command] = [["XACK", self._source, self._group, entry], ["XDEL", self._source, entry]]
        if stream_problem(self._client, self._source) == NO_STREAM:
            acknowledge = []  # there is nothing any more
        try:
            replies = write(self._client, [target, self._source], added, *acknowledge)
        except exceptions.ResponseError as error:
            if "Command # 1 " in str(error) and not is_transient(error):  # since the look
                raise TargetRefused(str(error)) from None
            raise
        return len(replies) > 1 and bool(replies[1])


def stream_problem(client: Any, name: str) -> str:
    """Why nothing can be added to a stream; "" if something can, or if it is not there.

    Raises:
        redis.RedisError: the server is away or refuses.
    """
    try:
        last = client.xinfo_stream(name)["last-generated-id"]
    except exceptions.ResponseError as error:
        if str(error).startswith("WRONGTYPE"):
            return NO_STREAM
        if "no such key" in str(error):
            return ""
        raise
    return "has no ids left" if last == _LAST_ID else ""


def _known(reply: Any) -> bool:
    """Whether the request was known, from the script's reply.

    Raises:
        redis.RedisError: the reply is an error.
    """
    if not isinstance(reply, list):
        return bool(reply)
    what, text = (part.decode(errors="replace") for part in reply)
    error = error_from(_PLACE_IN_SCRIPT.sub("", text).strip())
    raise TargetRefused(text) if what == "answer" and not is_transient(error) else error
