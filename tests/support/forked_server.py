"""Servers with a model that does nothing, forked from one process that has imported everything: they start at once.

`python forked_server.py FLAGS` starts one for each line that it reads, which names the file that gets its messages, and
says its process number, and at its end its exit code. The next one starts then.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import prometheus_client  # noqa: F401 - what follows is imported for the forked processes

import maskworks.commands.worker
import maskworks.freed_memory
import maskworks.heartbeat
import maskworks.log
import maskworks.loop
import maskworks.pipeline
import maskworks.progress
import maskworks.transports.http.app
import maskworks.transports.http.predict
import maskworks.transports.http.readiness
import maskworks.transports.http.server  # noqa: F401
from maskworks.commands import serve
from maskworks.commands.model import Model
from maskworks.config import ModelConfig
from maskworks.predictor import Result
from maskworks.types import Request


class Nothing:
    """Finds nothing."""

    segmenter = {"type": "nothing"}  # noqa: RUF012

    def predict(self, requests: Sequence[Request]) -> list[Result]:
        return [[] for _ in requests]


MODEL = Model(name="nothing", title="Nothing", prompt_suffix=None, config=ModelConfig, load=lambda config: Nothing())


def main() -> None:
    for line in sys.stdin:
        process = os.fork()
        if not process:
            os.dup2(os.open(line.strip(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            os._exit(serve.serve(MODEL, sys.argv[1:]))
        print(process, flush=True)
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
