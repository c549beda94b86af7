"""Answers over Redis leave in the order of the requests, because clients know them by nothing else."""

import threading
import time

from bright import Bright
from samples import encoded

from segkit.config import LoopConfig
from segkit.loop import Loop
from segkit.pipeline import Pipeline
from segkit.transports.memory import MemoryTransport
from segkit.types import Job
from segkit.wire.request import decode_bare_image


def delivered(**settings):
    """Ids in the order in which they were delivered, if every second answer takes longer to be written."""

    def encode(prediction):
        time.sleep(0.05 * (int(prediction.request.id) % 2 == 0))
        return {"reply": b""}

    transport = MemoryTransport([Job(str(index), encoded()) for index in range(8)])
    pipeline = Pipeline(predictor=Bright(), decoder=decode_bare_image, encoder=encode)
    Loop(transport, pipeline, LoopConfig(batch_size=4, batch_wait_ms=200), threading.Event(), **settings).run()
    return [int(job.id) for job, _ in transport.outcomes]


def test_one_thread_keeps_the_order():
    assert delivered(codec_threads=1) == list(range(8))


def test_several_do_not():
    """So the test above can fail."""
    assert delivered() != list(range(8))
