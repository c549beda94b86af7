from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from maskworks.shutdown import Interrupted, Shutdown

REDIS = ("--redis_in", "a", "--redis_out", "b")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_asks_and_the_second_one_has_its_way_again(number):
    before = signal.getsignal(number)
    with Shutdown() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        assert stop.wait(5)
        assert [signal.getsignal(each) for each in Shutdown.signals] == [signal.SIG_DFL] * 2
    assert signal.getsignal(number) == before


def test_where_a_signal_interrupts_it_does_so_at_once():
    with Shutdown() as stop, pytest.raises(Interrupted):
        wait_interrupted(stop, lambda: os.kill(os.getpid(), signal.SIGINT))


def test_a_signal_that_came_before_interrupts_too():
    with Shutdown() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Interrupted):
            wait_interrupted(stop, lambda: pytest.fail("it had come before"))


def wait_interrupted(stop, begin):
    with stop.interrupting():
        begin()
        threading.Event().wait(60)


LOADING = """
import sys, threading
from maskworks.commands import poll, redis, serve
from maskworks.commands.model import Model
from maskworks.config import ModelConfig

def load(config):
    print("loading", flush=True)
    threading.Event().wait(600)

command = {"poll": poll.predict_poll, "redis": redis.predict_redis, "http": serve.serve}[sys.argv.pop(1)]
sys.exit(command(Model(name="slow", title="Slow", prompt_suffix=None, config=ModelConfig, load=load)))
"""


@pytest.mark.slow("starts processes")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "command",
    [("poll", "--prediction_in", ".", "--prediction_out", "out"), ("redis", *REDIS), ("http", "--port", "0")],
    ids=lambda command: command[0],
)  # fmt: skip
def test_a_command_ends_while_its_model_is_loaded(command, number, tmp_path):
    worker = subprocess.Popen(
        [sys.executable, "-c", LOADING, *command],
        cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert worker.stdout is not None
    assert worker.stdout.readline() == "loading\n"
    worker.send_signal(number)
    _, said = worker.communicate(timeout=60)
    assert worker.returncode == 0, said
    assert said.splitlines()[-1].endswith(": stopped before the model was loaded")
    assert "Traceback" not in said
