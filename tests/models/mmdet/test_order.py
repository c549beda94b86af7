"""Answers over Redis leave in the order of the requests, because clients know them by nothing else."""

import threading

from maskworks.config import LoopConfig
from maskworks.loop import Loop
from maskworks.pipeline import Pipeline
from maskworks.transports.memory import MemoryTransport
from maskworks.wire.request import read_image
from tests.support.bright import Bright
from tests.support.jobs import Steps, a_job
from tests.support.samples import encoded


def delivered(patience, **settings):
    """Ids in the order in which they were delivered, if the first waits so many seconds for the second one."""
    second = threading.Event()

    def write(prediction):
        if prediction.request.id == "1":
            second.set()
        elif prediction.request.id == "0":
            second.wait(patience)
        return {"reply": b""}

    steps = Steps(reader=read_image, writer=write)
    transport = MemoryTransport([a_job(str(index), encoded(), format=steps) for index in range(8)])
    pipeline = Pipeline(predictor=Bright())
    Loop(transport, pipeline, LoopConfig(batch_size=4, batch_wait_ms=200), threading.Event(), **settings).run()
    return [int(job.id) for job, _ in transport.outcomes]


def test_one_thread_keeps_the_order():
    assert delivered(0.2, codec_threads=1) == list(range(8))


def test_several_do_not():
    """So the test above can fail."""
    assert delivered(20) != list(range(8))
