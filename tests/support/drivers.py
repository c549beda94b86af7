"""One driver for each transport: starts its worker, hands requests over, collects the answers."""

from __future__ import annotations

import base64
import io
import json
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import redis
from PIL import Image

from tests.support.answers import Answers
from tests.support.redis_process import free_port
from tests.support.requests import Request
from tests.support.running import running
from tests.support.subject import Subject
from tests.support.workplace import wait_until


class Driver:
    """A worker process and the way to it.

    Args:
        subject: whose worker.
        folder: an empty one.
        stack: what has to end with the run is put onto it.
    """

    loses_with_worker = True  # whether what a killed worker had is gone
    hears_to_the_end = True  # whether what is sent while a worker stops is answered, refused or kept

    def __init__(self, subject: Subject, folder: Path, stack: ExitStack) -> None:
        self.answers = Answers()
        self._subject, self._folder, self._stack = subject, folder, stack
        folder.mkdir()
        self._command = self.prepare()
        self.start()

    def start(self) -> None:
        """Starts a worker; the one before, if there was one, has ended."""
        self.worker = self._stack.enter_context(running(self._command, self._folder / "worker.log"))

    @property
    def alive(self) -> bool:
        """Whether the latest worker has not ended."""
        return self.worker.poll() is None

    @property
    def said(self) -> str:
        """The log of the latest worker."""
        return (self._folder / "worker.log").read_text(errors="replace")

    def prepare(self) -> list[str]:
        """Sets up what the worker needs; its command line."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether the worker takes requests."""
        return True

    def send(self, request: Request) -> None:
        """Hands a request over."""
        raise NotImplementedError

    def collect(self) -> None:
        """Books the answers that have come; called again and again."""

    def untouched(self) -> int:
        """How many requests wait where a later worker will find them."""
        return 0

    def settle(self) -> None:
        """Waits, once the worker has ended, for all of its answers to be there for `collect`."""


class FolderDriver(Driver):
    """`*_predict_poll`."""

    loses_with_worker = False

    def prepare(self) -> list[str]:
        for name in ("in", "out"):
            (self._folder / name).mkdir()
        folders = ["--prediction_in", str(self._folder / "in"), "--prediction_out", str(self._folder / "out")]
        waits = ["--continuous", "--poll_wait", "0.05", "--incomplete_wait", "0.5", "--delete_input", "--overlay"]
        return self._subject.command("folder", *folders, *waits)

    def send(self, request: Request) -> None:
        self.answers.sent(request)
        if self._subject.suffix is not None:
            (self._folder / "in" / f"{request.name}{self._subject.suffix}").write_bytes(request.prompt)
        draft = self._folder / f"{request.name}.draft"
        draft.write_bytes(request.image)
        draft.rename(self._folder / "in" / f"{request.name}.jpg")

    def collect(self) -> None:
        out = self._folder / "out"
        for path in out.glob("*.json"):
            mask, overlay = path.with_suffix(".png"), out / f"{path.stem}-overlay.png"
            with Image.open(overlay) as picture:
                size = picture.size
            self.answers.found(path.stem, size, labels(mask.read_bytes()) if mask.exists() else None)
            for file in (path, mask, overlay):
                file.unlink(missing_ok=True)
        for path in (out / "failed").glob("*.error.json"):
            self.answers.failed(path.name.removesuffix(".error.json"), json.loads(path.read_bytes())["error"]["code"])
            path.unlink()
        for path in (out / "failed").glob("[!.]*"):  # what begins with a dot is being written
            if not path.name.endswith(".error.json"):  # one that has come since is for the next time
                path.unlink()

    def untouched(self) -> int:
        return len(list((self._folder / "in").glob("*.jpg")))


class RedisDriver(Driver):
    """`*_predict_redis` on channels, with a server of its own."""

    mode = "pubsub"
    hears_to_the_end = False  # a channel keeps nothing, and says to nobody that it does not

    def prepare(self) -> list[str]:
        port = free_port()
        command = ["redis-server", "--port", str(port), "--save", "", "--dir", str(self._folder), "--bind", "127.0.0.1"]
        self._stack.enter_context(running(command, self._folder / "server.log"))
        self._client: Any = redis.Redis(port=port)
        self._listen()
        self._own = {entry["id"] for entry in self._client.client_list()}
        flags = ["--redis_port", str(port), "--redis_in", "in", "--redis_out", "out", "--redis_mode", self.mode]
        return self._subject.command("redis", *flags, "--redis_claim_idle", "1")

    def ready(self) -> bool:
        return bool(self._client.pubsub_numpat())

    def send(self, request: Request) -> None:
        self.answers.sent(request)
        self._publish(message(request))

    def collect(self) -> None:
        while True:
            found = self._subscription.get_message()
            if found is None:
                return
            self._book(found["data"])

    def settle(self) -> None:
        # The server has read all that the worker sent once it has seen the end of its connections.
        wait_until(lambda: {entry["id"] for entry in self._client.client_list()} <= self._own)

    def _listen(self) -> None:
        wait_for(self._client)
        self._subscription = self._client.pubsub(ignore_subscribe_messages=True)
        self._subscription.subscribe("out", "out_errors")

    def _publish(self, text: bytes) -> None:
        while not self._client.publish("in", text) and self.alive:  # nobody listens yet
            time.sleep(0.1)

    def _book(self, text: bytes) -> None:
        reply = json.loads(text)
        if "error" in reply:
            self.answers.failed(reply["id"], reply["error"]["code"])
            return
        image = reply["meta"]["image"]
        facts = json.loads(image) if isinstance(image, str) else image  # OPEX, or our own reply
        mask = reply.get("mask")
        size = (facts["width"], facts["height"])
        self.answers.found(reply["id"], size, None if mask is None else labels(base64.b64decode(mask)))


class StreamDriver(RedisDriver):
    """`*_predict_redis` on streams."""

    mode = "stream"
    loses_with_worker = False
    hears_to_the_end = True

    def ready(self) -> bool:
        return True

    def untouched(self) -> int:
        return int(self._client.xlen("in"))

    def collect(self) -> None:
        for stream in ("out", "out_errors"):
            for entry, fields in self._client.xrange(stream):
                self._book(fields[b"data"])
                self._client.xdel(stream, entry)

    def _listen(self) -> None:
        wait_for(self._client)

    def _publish(self, text: bytes) -> None:
        self._client.xadd("in", {"data": text})


class HttpDriver(Driver):
    """`*_serve`."""

    def prepare(self) -> list[str]:
        self._client = self._stack.enter_context(httpx.Client(timeout=120))
        self._threads = self._stack.enter_context(ThreadPoolExecutor(64))
        self._asked: list[Future[None]] = []
        port = str(free_port())
        self.url = f"http://127.0.0.1:{port}"
        return self._subject.command("http", "--host", "127.0.0.1", "--port", port)

    def ready(self) -> bool:
        try:
            return self._client.get(f"{self.url}/ready").status_code == httpx.codes.OK
        except httpx.ConnectError:
            return False

    def send(self, request: Request) -> None:
        self.answers.sent(request)
        self._asked.append(self._threads.submit(self._ask, request))

    def collect(self) -> None:
        for asked in [asked for asked in self._asked if asked.done()]:
            self._asked.remove(asked)
            asked.result()  # raises what the thread raised

    def settle(self) -> None:
        wait(self._asked)

    def _ask(self, request: Request) -> None:
        parts = {"image": ("a", request.image)}
        if self._subject.suffix is not None:
            parts["prompt"] = ("b", request.prompt)
        try:
            answer = self._client.post(f"{self.url}/predict", files=parts, headers={"Accept": "image/png"})
        except httpx.TransportError as error:
            if was_refused(error):
                self.answers.failed(request.name, "overloaded")
            else:  # a connection was made, so the request counts as sent, and as lost
                self.answers.cut_off[request.name] = repr(error)
            return
        if answer.status_code == httpx.codes.OK:
            with Image.open(io.BytesIO(answer.content)) as mask:
                self.answers.found(request.name, mask.size, labels(answer.content))
        else:
            self.answers.failed(request.name, answer.json()["error"]["code"])


DRIVERS = {"folder": FolderDriver, "channels": RedisDriver, "streams": StreamDriver, "http": HttpDriver}


def was_refused(error: BaseException | None) -> bool:
    """Whether nobody listened: no other error says that a request was not received."""
    while error is not None and not isinstance(error, ConnectionRefusedError):
        error = error.__cause__ or error.__context__
    return error is not None


def message(request: Request) -> bytes:
    """As it goes over Redis; a prompt that is no JSON object cannot."""
    text = {"id": request.name, "image": base64.b64encode(request.image).decode()}
    return json.dumps({**text, **json.loads(request.prompt)}).encode()


def labels(png: bytes) -> frozenset[int]:
    """The palette indices in a mask, without the background's."""
    with Image.open(io.BytesIO(png)) as image:
        return frozenset(np.unique(np.array(image)).tolist()) - {0}


def wait_for(client: redis.Redis) -> None:
    """Until the server answers."""
    for _ in range(100):
        try:
            client.ping()
        except redis.ConnectionError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("redis-server did not start; is it installed? Debian: apt-get install redis-server")
