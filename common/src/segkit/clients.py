"""The test clients on Redis: one sends an image with its prompt, one receives the answers and writes them to files."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segkit import cli, options
from segkit.config import RedisConfig
from segkit.errors import ConfigError

if TYPE_CHECKING:
    from segkit.transports.redis_server import RedisServer

NOBODY_LISTENS = 3
ERROR_RECEIVED = 3
TIMED_OUT = 4

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
    return cli.run(parser, lambda args: _send(sender, args), argv)


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
    return cli.run(parser, _receive, argv)


def read_prompt_file(path: Path) -> dict[str, Any]:
    """The JSON object in a prompt file.

    Raises:
        ConfigError: it cannot be read, or is not a JSON object.
    """
    from segkit.errors import BadJson
    from segkit.wire import jsontext

    try:
        return jsontext.read_object(_read(path, "--prompt"), f"--prompt: {path}")
    except BadJson as error:
        raise ConfigError([error.message]) from None


def _add_server(parser: argparse.ArgumentParser, channel: str) -> None:
    defaults = RedisConfig(redis_in="", redis_out="")
    host, port, db = defaults.redis_host, defaults.redis_port, defaults.redis_db
    parser.add_argument("-H", "--host", metavar="HOST", default=host, help=f"Redis server (default: {host})")
    parser.add_argument("-p", "--port", metavar="PORT", type=int, default=port, help=f"its port (default: {port})")
    parser.add_argument("-d", "--database", metavar="DB", type=int, default=db, help=f"its database (default: {db})")
    parser.add_argument("--password_env", metavar="NAME", help="environment variable with the password")
    parser.add_argument("--url", metavar="URL", help="instead of the above: redis://, rediss:// (TLS) or unix://")
    parser.add_argument("-c", "--channel", metavar="CHANNEL", required=True, help=f"{channel} (required)")
    parser.add_argument("--stream", action="store_true", help="use a stream instead of a channel")


def _connect(args: argparse.Namespace) -> RedisServer:
    import threading

    from segkit.transports.redis_server import RedisServer

    config = RedisConfig(
        redis_in=args.channel,
        redis_out=args.channel,
        redis_host=args.host,
        redis_port=args.port,
        redis_db=args.database,
        redis_password_env=args.password_env,
        redis_url=args.url,
    )
    server = RedisServer(config, threading.Event())
    server.check()
    return server


def _send(sender: Sender, args: argparse.Namespace) -> int:
    from segkit.wire import base64text, jsontext

    message = {"image": base64text.encode(_read(args.image, "--image")), **sender.read_prompt(args)}
    for key, target in (("label", message.get("prompt", message)), ("id", message), ("reply_to", message)):
        if getattr(args, key) is not None:
            target[key] = getattr(args, key)
    text = jsontext.write(message)
    server = _connect(args)
    listeners = 0
    for _ in range(args.count):
        if args.stream:
            server.client.xadd(args.channel, {"data": text})
        else:
            listeners = server.client.publish(args.channel, text)
    server.close()
    if not args.stream and not listeners:
        cli.say(f"nobody listens on {args.channel}; is the worker running, with --redis_in {args.channel}?")
        return NOBODY_LISTENS
    return 0


def _receive(args: argparse.Namespace) -> int:
    server = _connect(args)
    args.output_dir.mkdir(parents=True, exist_ok=True)
    answers = _from_stream(server, args) if args.stream else _from_channel(server, args)
    received = errors = 0
    try:
        for text in answers:
            errors += not _save(text, args)
            received += 1
            if received == args.count:
                return ERROR_RECEIVED if errors else 0
    except KeyboardInterrupt:
        return ERROR_RECEIVED if errors else 0
    finally:
        server.close()
    cli.say(f"no answer for {args.timeout:g} s")
    return TIMED_OUT


def _from_channel(server: RedisServer, args: argparse.Namespace) -> Iterator[bytes]:
    """Messages until none has come for --timeout seconds."""
    subscription = server.client.pubsub(ignore_subscribe_messages=True)
    subscription.psubscribe(args.channel, args.errors or f"{args.channel}_errors")
    deadline = _deadline(args)
    while time.monotonic() < deadline:
        message = subscription.get_message(timeout=min(1.0, max(0.0, deadline - time.monotonic())))
        if message is not None:
            yield message["data"]
            deadline = _deadline(args)


def _from_stream(server: RedisServer, args: argparse.Namespace) -> Iterator[bytes]:
    """Entries from the start of the stream on, until none has come for --timeout seconds."""
    last: dict[str, str | bytes] = {args.channel: "0", args.errors or f"{args.channel}_errors": "0"}
    deadline = _deadline(args)
    while time.monotonic() < deadline:
        block = int(1000 * min(1.0, max(0.001, deadline - time.monotonic())))
        for name, entries in server.client.xread(last, block=block) or ():
            for entry, fields in entries:
                last[name.decode()] = entry
                yield fields[b"data"]
                deadline = _deadline(args)


def _deadline(args: argparse.Namespace) -> float:
    return float("inf") if args.timeout is None else time.monotonic() + args.timeout


def _save(text: bytes, args: argparse.Namespace) -> bool:
    """Writes the files of one answer and names them; False if it is an error."""
    prefix = args.output_dir / datetime.now().strftime(args.file_prefix)
    parts = _files(text, prefix.name, args.overlay)
    for suffix, data in parts.items():
        path = prefix.with_name(prefix.name + suffix)
        path.write_bytes(data)
        print(path, flush=True)  # noqa: T201
    return ".error.json" not in parts


def _files(text: bytes, name: str, image_file: Path | None) -> dict[str, bytes]:
    """The contents of the files for an answer, by what follows the prefix in their names."""
    from segkit.config import InputConfig
    from segkit.overlay import encode_overlay
    from segkit.wire import base64text, jsontext
    from segkit.wire.image import decode_image
    from segkit.wire.opex import encode_opex
    from segkit.wire.reply import decode_reply

    answer = jsontext.read_object(text, "answer")
    if "error" in answer:
        error = answer["error"] if isinstance(answer["error"], dict) else {"message": answer["error"]}
        cli.say(f"error: {error.get('code')}: {error.get('message')}")
        return {".error.json": text}
    if "objects" in answer:  # of models that answer with OPEX
        return {".json": text}
    image = None if image_file is None else decode_image(_read(image_file, "--overlay"), InputConfig())[0]
    prediction = decode_reply(text, name, image)
    parts = {".png": base64text.decode(answer["mask"]), ".json": encode_opex(prediction)}
    return parts if image is None else {**parts, "-overlay.png": encode_overlay(prediction)}


def _read(path: Path, flag: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError([f"{flag}: {path}: {error.strerror}"]) from None
