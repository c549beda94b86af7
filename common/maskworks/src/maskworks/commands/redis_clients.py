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
from maskworks.config import InputConfig, RedisServerConfig
from maskworks.errors import ConfigError, RequestError, TransportError

if TYPE_CHECKING:
    from maskworks.types import Bytes

NOBODY_LISTENS = 3
ERROR_RECEIVED = 3
TIMED_OUT = 4

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
    _add_server(parser, "channel to send to, or name of the stream with --stream")
    parser.add_argument("-I", "--image", metavar="FILE", type=Path, required=True, help="image to send (required)")
    sender.add_prompt(parser)
    parser.add_argument("--label", metavar="N", type=int, help="palette index in the mask, 1 to 255 (default: 1)")
    parser.add_argument("--id", metavar="ID", help="name of the request, comes back with the answer")
    parser.add_argument("--reply_to", metavar="CHANNEL", help="where this answer is to go")
    parser.add_argument("--count", metavar="N", type=int, default=1, help="how often to send it (default: 1)")
    return run_command(parser, lambda args: _send(sender, args), argv)


def receive(name: str, argv: Sequence[str] | None = None) -> int:
    """`<name>_test_redis_recv`: writes answers to files. Returns the exit code: 3 after an error, 4 if none came."""
    parser = options.new_parser(f"{name}_test_redis_recv", "Receives results from a worker on Redis and saves them.")
    _add_server(parser, "channel (a pattern) to listen on, or name of the stream with --stream")
    parser.add_argument("-o", "--output_dir", metavar="DIR", type=Path, required=True, help="for the files (required)")
    parser.add_argument(
        "-f", "--file_prefix", metavar="FORMAT", default="%Y%m%d_%H%M%S.%f",
        help="names of the files without extension, as for strftime (default: %%Y%%m%%d_%%H%%M%%S.%%f)",
    )  # fmt: skip
    parser.add_argument("--count", metavar="N", type=int, help="end after so many answers (default: never)")
    parser.add_argument("--timeout", metavar="S", type=float, help="end after so many seconds without an answer")
    parser.add_argument("--errors", metavar="CHANNEL", help="where errors come from (default: CHANNEL_errors)")
    parser.add_argument("--overlay", metavar="FILE", type=Path, help="the image: also write PREFIX-overlay.png with it")
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


def _add_server(parser: argparse.ArgumentParser, channel: str) -> None:
    defaults = RedisServerConfig()
    host, port, db = defaults.redis_host, defaults.redis_port, defaults.redis_db
    parser.add_argument("-H", "--host", metavar="HOST", default=host, help=f"Redis server (default: {host})")
    parser.add_argument("-p", "--port", metavar="PORT", type=int, default=port, help=f"its port (default: {port})")
    parser.add_argument("-d", "--database", metavar="DB", type=int, default=db, help=f"its database (default: {db})")
    parser.add_argument("--url", metavar="URL", help="instead of these three, as --redis_url of workers")
    parser.add_argument("--password_env", metavar="NAME", help="environment variable with the password")
    parser.add_argument("-c", "--channel", metavar="CHANNEL", required=True, help=f"{channel} (required)")
    parser.add_argument("--stream", action="store_true", help="use a stream instead of a channel")


@dataclass(frozen=True)
class _Connection:
    """A client of redis-py, and a way to call it: with Sentinels or a cluster until there is another master."""

    client: Any
    call: Callable[[Callable[[], Any]], Any]


@contextmanager
def _connected(args: argparse.Namespace) -> Iterator[_Connection]:
    """A connection to the server that the flags name; what goes wrong with it in the block is one error of ours.

    Raises:
        ConfigError: the flags are wrong.
        GaveUp: the server does not answer.
        TransportError: it refuses.
    """
    import threading

    from maskworks.transports.redis.server import RedisServer

    config = RedisServerConfig(
        redis_host=args.host,
        redis_port=args.port,
        redis_db=args.database,
        redis_password_env=args.password_env,
        redis_url=args.url,
    )
    problems = [_own_flags(problem) for problem in config.problems()]
    if problems:
        raise ConfigError(problems)
    server = RedisServer(config, threading.Event(), _FAILOVER_SECONDS)
    call = server.retry if config.redis_nodes else _at_once
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

    image, prompt = _read(args.image, "--image"), sender.read_prompt(args)
    text = encode_request(image, prompt, label=args.label, name=args.id, reply_to=args.reply_to)
    listeners = 0
    with _connected(args) as server:
        for _ in range(args.count):
            if args.stream:
                server.call(partial(server.client.xadd, args.channel, {"data": text}))
            else:
                listeners = server.call(partial(server.client.publish, args.channel, text))
    if not args.stream and not listeners:
        say(f"nobody listens on {args.channel}; is the worker running, with --redis_in {args.channel}?")
        return NOBODY_LISTENS
    return 0


def _receive(args: argparse.Namespace) -> int:
    image = None if args.overlay is None else _image(args.overlay)
    try:
        args.output_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError([f"--output_dir: {args.output_dir}: {error.strerror}"]) from None
    received = errors = 0
    with _connected(args) as server:
        try:
            for text in _from_stream(server, args) if args.stream else _from_channel(server, args):
                errors += not _save(text, args, image)
                received += 1
                if received == args.count:
                    return ERROR_RECEIVED if errors else 0
        except KeyboardInterrupt:
            return ERROR_RECEIVED if errors else 0
        except BrokenPipeError:  # as of `| head -1`: nobody wants to know more names, nor what is left in the buffer
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return ERROR_RECEIVED if errors else 0
    say(f"no answer for {args.timeout:g} s")
    return TIMED_OUT


def _from_channel(server: _Connection, args: argparse.Namespace) -> Iterator[bytes]:
    """Messages until none has come for --timeout seconds."""
    errors = args.errors or f"{args.channel}_errors"
    # The server sends a message once for each pattern that it matches.
    patterns = [args.channel] if redis_syntax.matches(args.channel, errors) else [args.channel, errors]
    subscription: Any = None

    def listen(seconds: float) -> Any:
        nonlocal subscription
        subscribed, subscription = subscription, None  # unless all goes well: it may be another server next time
        if subscribed is None:
            subscribed = server.client.pubsub(ignore_subscribe_messages=True)
            subscribed.psubscribe(*patterns)
        message = subscribed.get_message(timeout=seconds)
        subscription = subscribed
        return message

    deadline = _deadline(args)
    while time.monotonic() < deadline:
        message = server.call(partial(listen, min(1.0, max(0.0, deadline - time.monotonic()))))
        if message is not None:
            yield message["data"]
            deadline = _deadline(args)


def _from_stream(server: _Connection, args: argparse.Namespace) -> Iterator[bytes]:
    """Entries from the start of the stream on, until none has come for --timeout seconds."""
    last: dict[str, str | bytes] = {args.channel: "0", args.errors or f"{args.channel}_errors": "0"}
    deadline = _deadline(args)
    while time.monotonic() < deadline:
        block = int(1000 * min(1.0, max(0.001, deadline - time.monotonic())))
        found = server.call(partial(server.client.xread, last, _AT_A_TIME, block))
        for name, entries in found or ():
            for entry, fields in entries:
                last[name.decode()] = entry
                yield fields.get(b"data", b"")
                deadline = _deadline(args)


def _deadline(args: argparse.Namespace) -> float:
    return float("inf") if args.timeout is None else time.monotonic() + args.timeout


def _save(text: bytes, args: argparse.Namespace, image: Bytes | None) -> bool:
    """Writes the files of one answer and names them; False if it is an error, or no answer at all."""
    prefix = args.output_dir / datetime.now().strftime(args.file_prefix)
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
