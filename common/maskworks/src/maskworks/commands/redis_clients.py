"""The test clients on Redis: one sends an image with its prompt, one receives the answers and writes them to files."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskworks import options, redis_syntax
from maskworks.commands.run import run_command, say
from maskworks.config import InputConfig, from_args
from maskworks.config.arguments import add_flags
from maskworks.config.redis_client import ClientConfig, ReceiveConfig, SendConfig
from maskworks.config.usable_folder import folder_problem
from maskworks.errors import ConfigError, RequestError, TransportError

if TYPE_CHECKING:
    from maskworks.types import Bytes

NOBODY_LISTENS = 3
ERROR_RECEIVED = 3
TIMED_OUT = 4

_SHORT = {
    "host": ("-H",), "port": ("-p",), "database": ("-d",), "channel": ("-c",), "image": ("-I",), "output_dir": ("-o",),
    "file_prefix": ("-f",),
}  # fmt: skip
_AT_A_TIME = 16  # entries of a stream, which may be large
_FAILOVER_SECONDS = 60.0  # in which Sentinels or a cluster have another master

AddPrompt = Callable[[argparse.ArgumentParser], None]
ReadPrompt = Callable[[argparse.Namespace], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Sender:
    """How a model's test client builds a request: the flags of the prompt, and the message's keys made from them."""

    name: str
    add_prompt: AddPrompt
    read_prompt: ReadPrompt


def send(sender: Sender, argv: Sequence[str] | None = None) -> int:
    """`<name>_test_redis_send`: sends one request. Returns the exit code; 3 if nobody listens on the channel."""
    parser = options.new_parser(f"{sender.name}_test_redis_send", "Sends an image to a worker on Redis.")
    about_request = ("label", "id", "reply_to", "count")
    add_flags(parser, "", SendConfig, without=about_request, others=_SHORT)
    sender.add_prompt(parser)
    add_flags(parser, "", SendConfig, only=about_request)
    return run_command(parser, lambda args: _send(sender, args), argv)


def receive(name: str, argv: Sequence[str] | None = None) -> int:
    """`<name>_test_redis_recv`: writes answers to files. Returns the exit code: 3 after an error, 4 if none came."""
    parser = options.new_parser(f"{name}_test_redis_recv", "Receives results from a worker on Redis and saves them.")
    add_flags(parser, "", ReceiveConfig, others=_SHORT)
    return run_command(parser, _receive, argv)


def read_prompt_file(path: Path) -> dict[str, Any]:
    """The JSON object in a prompt file.

    Raises:
        ConfigError: it cannot be read, or is not a JSON object.
    """
    from maskworks.errors import BadJson
    from maskworks.wire import jsontext

    try:
        return jsontext.read_object(_read(path, "--prompt"), f"--prompt: {path}")
    except BadJson as error:
        raise ConfigError([error.message]) from None


@dataclass(frozen=True)
class _Connection:
    """A client of redis-py, and a way to call it: with Sentinels or a cluster until there is another master."""

    client: Any
    call: Callable[[Callable[[], Any]], Any]


@contextmanager
def _connected(config: ClientConfig) -> Iterator[_Connection]:
    """A connection to the server that the flags name; what goes wrong with it in the block is one error of ours.

    Raises:
        ConfigError: the flags are wrong.
        GaveUp: the server does not answer.
        TransportError: it refuses.
    """
    import threading

    from maskworks.transports.redis.server import RedisServer

    problems = [_own_flags(problem) for problem in config.server.problems()]
    if problems:
        raise ConfigError(problems)
    server = RedisServer(config.server, threading.Event(), _FAILOVER_SECONDS)
    call = server.retry if config.server.redis_nodes else _at_once
    try:
        with server.errors():
            call(server.client.ping)
            yield _Connection(server.sender, call)
    except TransportError as error:
        raise type(error)(_own_flags(error.message)) from None
    finally:
        server.close()


def _at_once(command: Callable[[], Any]) -> Any:
    return command()


def _own_flags(text: str) -> str:
    """What is said of the flags of workers, said of those of the test clients."""
    return text.replace(" (--redis_give_up)", "").replace("--redis_", "--")


def _send(sender: Sender, args: argparse.Namespace) -> int:
    from maskworks.wire.client import encode_request

    config = from_args(SendConfig, args)
    image, prompt = _read(config.image, "--image"), sender.read_prompt(args)
    text = encode_request(image, prompt, label=config.label, name=config.id, reply_to=config.reply_to)
    listeners = 0
    with _connected(config) as server:
        for _ in range(config.count):
            if config.stream:
                server.call(partial(server.client.xadd, config.channel, {"data": text}))
            else:
                listeners = server.call(partial(server.client.publish, config.channel, text))
    if not config.stream and not listeners:
        say(f"nobody listens on {config.channel}; is the worker running, with --redis_in {config.channel}?")
        return NOBODY_LISTENS
    return 0


def _receive(args: argparse.Namespace) -> int:
    config = from_args(ReceiveConfig, args)
    image = None if config.overlay is None else _image(config.overlay)
    if problem := folder_problem(config.output_dir):
        raise ConfigError([f"--output_dir: {problem}"])
    config.output_dir.mkdir(parents=True, exist_ok=True)
    received = errors = 0
    with _connected(config) as server:
        try:
            for text in _from_stream(server, config) if config.stream else _from_channel(server, config):
                errors += not _save(text, config, image)
                received += 1
                if received == config.count:
                    return ERROR_RECEIVED if errors else 0
        except KeyboardInterrupt:
            return ERROR_RECEIVED if errors else 0
        except BrokenPipeError:  # as of `| head -1`: nobody wants to know more names, nor what is left in the buffer
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return ERROR_RECEIVED if errors else 0
    say(f"no answer for {config.timeout:g} s")
    return TIMED_OUT


def _from_channel(server: _Connection, config: ReceiveConfig) -> Iterator[bytes]:
    """Messages until none has come for --timeout seconds."""
    from maskworks.transports.redis.listener import Listener

    errors = config.errors_from
    # The server sends a message once for each pattern that it matches.
    patterns = [config.channel] if redis_syntax.matches(config.channel, errors) else [config.channel, errors]
    subscription: Listener | None = None

    def listen(seconds: float) -> bytearray | None:
        nonlocal subscription
        if subscription is None:  # after a failure, which may have been that of another server
            subscription = Listener(server.client, *patterns)
        try:
            return subscription.receive() if subscription.arrives(seconds) else None
        except BaseException:
            subscription.close()
            subscription = None
            raise

    deadline = _deadline(config)
    try:
        while time.monotonic() < deadline:
            body = server.call(partial(listen, min(1.0, max(0.0, deadline - time.monotonic()))))
            if body is not None:
                yield bytes(body)
                deadline = _deadline(config)
    finally:
        if subscription is not None:
            subscription.close()


def _from_stream(server: _Connection, config: ReceiveConfig) -> Iterator[bytes]:
    """Entries from the start of the stream on, until none has come for --timeout seconds."""
    last: dict[str, str | bytes] = {config.channel: "0", config.errors_from: "0"}
    deadline = _deadline(config)
    while time.monotonic() < deadline:
        block = int(1000 * min(1.0, max(0.001, deadline - time.monotonic())))
        found = server.call(partial(server.client.xread, last, _AT_A_TIME, block))
        for name, entries in found or ():
            for entry, fields in entries:
                last[name.decode()] = entry
                yield fields.get(b"data", b"")
                deadline = _deadline(config)


def _deadline(config: ReceiveConfig) -> float:
    return float("inf") if config.timeout is None else time.monotonic() + config.timeout


def _save(text: bytes, config: ReceiveConfig, image: Bytes | None) -> bool:
    """Writes the files of one answer and names them; False if it is an error, or no answer at all."""
    prefix = config.output_dir / datetime.now().strftime(config.file_prefix)
    try:
        parts = _files(text, prefix.name, image)
    except RequestError as error:
        say(f"no answer of a worker: {error.message}")
        return False
    for suffix, data in parts.items():
        path = prefix.with_name(prefix.name + suffix)
        try:
            path.write_bytes(data)
        except OSError as error:
            raise TransportError(f"{path}: {error.strerror}") from None
        print(path, flush=True)  # noqa: T201
    return ".error.json" not in parts


def _files(text: bytes, name: str, image: Bytes | None) -> dict[str, bytes]:
    """The contents of the files for an answer, by what follows the prefix in their names.

    Raises:
        RequestError: it is no answer.
    """
    from maskworks.overlay import encode_overlay
    from maskworks.wire.client import decode_answer
    from maskworks.wire.opex import encode_opex
    from maskworks.wire.reply import decode_reply

    answer = decode_answer(text)
    if answer.error is not None:
        say(f"error: {answer.error[0]}: {answer.error[1]}")
        return {".error.json": text}
    if answer.is_opex:
        return {".json": text}
    prediction = decode_reply(text, name, image)
    parts = {".png": answer.mask, ".json": encode_opex(prediction)}
    return parts if image is None else {**parts, "-overlay.png": encode_overlay(prediction)}


def _image(path: Path) -> Bytes:
    """The image to draw on, (H, W, 3) uint8 RGB."""
    from maskworks.images.reader import decode_image

    try:
        return decode_image(_read(path, "--overlay"), InputConfig())[0]
    except RequestError as error:
        raise ConfigError([f"--overlay: {path}: {error.message}"]) from None


def _read(path: Path, flag: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError([f"{flag}: {path}: {error.strerror}"]) from None
