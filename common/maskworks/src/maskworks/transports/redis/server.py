"""A Redis server: retries with back-off while it is away, refusals as errors of ours."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from redis import exceptions

from maskworks.config import RedisConfig, RedisServerConfig
from maskworks.errors import BadPrompt, GaveUp, ImageTooLarge, TransportError
from maskworks.transports.redis.backoff import Backoff
from maskworks.transports.redis.client import close, connect, hang_up, reconnect
from maskworks.transports.redis.faults import REFUSED, TRANSIENT, TargetRefused, Unwritable, error_code, is_transient
from maskworks.transports.redis.last_tries import LastTries
from maskworks.transports.redis.reasons import NO_ANSWER, reason
from maskworks.types import Outcome
from maskworks.wire.reply import encode_error

log = logging.getLogger(__name__)

_ANSWER_SECONDS = 5.0  # in which the server has to say something
_SEND_SECONDS = 30.0  # in which a large message has to be on its way and the server to say that it has it

_LONGEST = 512 << 20  # bytes of one value, if the server's proto-max-bulk-len is what it is by default
_OF_CLUSTER = (
    ": kept at another node of the cluster that this one is part of; use --redis_url redis+cluster://HOST:PORT"
)

Result = TypeVar("Result")


class RedisServer:
    """A client that retries its commands while the server is away.

    Args:
        config: where the server is.
        stop: once set, commands are tried for a few more seconds only.
        give_up: seconds for which it may stay away; None for any time.

    Attributes:
        client: for small commands: it soon notices that the server does not answer.
        sender: for large ones: it is patient enough for a slow line.
        last_tries: what is left of the time for commands once `stop` is set.
    """

    def __init__(self, config: RedisServerConfig, stop: threading.Event, give_up: float | None = None) -> None:
        self.client = connect(config, _ANSWER_SECONDS)
        self.sender = connect(config, _SEND_SECONDS)
        self._config, self._stop, self._give_up = config, stop, give_up
        self.last_tries = LastTries(stop, self._hang_up)
        self._failing_since_stop: float | None = None
        self._last_error: Exception | None = None

    def check(self) -> None:
        """A PING, without retries.

        Raises:
            GaveUp: it does not.
            TransportError: it refuses.
        """
        with self.errors():
            self.client.ping()

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Translates errors of the server in the block into errors of ours; there is no retry.

        Raises:
            GaveUp: it does not answer.
            TransportError: it refuses.
        """
        try:
            yield
        except REFUSED as error:
            raise self.refusal(error) from None
        except (exceptions.RedisError, exceptions.RedisClusterException) as error:
            kind = GaveUp if isinstance(error, TRANSIENT) else TransportError
            raise kind(f"{self._config.server_name}: {reason(error)}") from None

    def attempt(self, command: Callable[[], Result]) -> Result:
        """The command's result, without retries, and without any wait for a server that did not let the worker stop.

        Raises:
            redis.RedisError: what went wrong.
        """
        if self.last_tries.over:
            raise exceptions.ConnectionError("stopping without it")
        with self.last_tries.command():
            return command()

    @contextmanager
    def closed_on_failure(self) -> Iterator[None]:
        """For the first commands of a worker, in the block. From here on none of its commands keep it from stopping."""
        self.last_tries.watch()
        try:
            yield
        except BaseException:
            self.close()
            raise

    def retry(self, command: Callable[[], Result]) -> Result:
        """The command's result, tried again while the server is away.

        Raises:
            GaveUp: it stayed away for longer than --redis_give_up, or for some seconds after `stop`.
            Unwritable: it does not let the command write where it wants to.
            TransportError: it refuses.
        """
        backoff = self.backoff()
        while True:
            begun = time.monotonic()
            self._check_last_tries()
            try:
                with self.last_tries.command():
                    result = command()
            except REFUSED as error:
                raise self.refusal(error) from None
            except exceptions.InvalidResponse as error:
                raise TransportError(f"{self._config.server_name}: {reason(error)}") from None
            except (*TRANSIENT, exceptions.ResponseError) as error:
                if not is_transient(error):
                    kind = Unwritable if _is_target(error) else TransportError
                    hint = _OF_CLUSTER if isinstance(error, exceptions.MovedError) else ""
                    raise kind(f"{self._config.server_name}: {error}{hint}") from None
                if isinstance(error, exceptions.ReadOnlyError):
                    reconnect(self.client)
                    reconnect(self.sender)
                if self.last_tries.over:  # it was cut off, which says nothing
                    continue
                if self._stop.is_set():
                    self._last_error, self._failing_since_stop = error, self._failing_since_stop or begun
                    time.sleep(0.1)
                backoff.failed(error)
            else:
                self._failing_since_stop = None
                backoff.worked()
                return result

    def _check_last_tries(self) -> None:
        """Once the command is to stop: raises GaveUp some seconds after the first failing try began, of any command."""
        since = self._failing_since_stop
        if self.last_tries.too_late(math.inf if since is None else since):
            said = NO_ANSWER if self._last_error is None else reason(self._last_error)
            raise GaveUp(f"{self._config.server_name}: {said}; stopping without it")

    def _hang_up(self) -> None:
        hang_up(self.client)
        hang_up(self.sender)

    def backoff(self) -> Backoff:
        """How long to wait between tries."""
        return Backoff(self._config.server_name, self._give_up, self._stop)

    def refusal(self, error: Exception) -> TransportError:
        """The server's refusal with advice."""
        hint = "check the password (--redis_password_env), the user in --redis_url, and what that user may do"
        kind = Unwritable if isinstance(error, exceptions.NoPermissionError) else TransportError
        return kind(f"{self._config.server_name} refuses: {error}; {hint}")

    def close(self) -> None:
        """Closes the connections."""
        self.last_tries.close()
        close(self.client)
        close(self.sender)


def _is_target(error: Exception) -> bool:
    return isinstance(error, TargetRefused) or error_code(error) == "WRONGTYPE"


def answer(server: RedisServer, outcome: Outcome, config: RedisConfig, send: Callable[[str, bytes], Result]) -> Result:
    """Sends an outcome to the channel or stream that it goes to.

    Where its requester chose one that cannot be written to, an error goes where all errors go.

    Args:
        server: where it is sent.
        outcome: the answer.
        config: names where answers and errors go.
        send: gets the name of a channel or stream, and the text.

    Raises:
        GaveUp, TransportError: as `RedisServer.retry` does.
    """
    target, text = _addressed(outcome, config)
    try:
        return server.retry(lambda: send(target, text))
    except (Unwritable, UnicodeEncodeError) as error:
        if outcome.reply_to is None:
            raise
        reason = error.message if isinstance(error, Unwritable) else "it is no text"
        log.warning("%s: no answer to %a: %s", outcome.id, outcome.reply_to, reason)
    refused = BadPrompt("reply_to", f"{outcome.reply_to!a}, where this worker cannot write", "one that it may write to")
    text = encode_error(refused, outcome.id, outcome.meta)
    return server.retry(lambda: send(config.errors_to, text))


def _addressed(outcome: Outcome, config: RedisConfig) -> tuple[str, bytes]:
    error, text = outcome.error, outcome.parts.get("reply", b"")
    if len(text) > _LONGEST:  # the server would close the connection, again and again
        error = ImageTooLarge(f"the answer has {len(text)} bytes, and a server takes {_LONGEST}; ask for less at once")
    if error is None:
        return outcome.reply_to or config.redis_out, text
    return outcome.reply_to or config.errors_to, encode_error(error, outcome.id, outcome.meta)
