from __future__ import annotations

import json
import threading
import time
from dataclasses import replace

import pytest

from maskworks.config import LoopConfig
from maskworks.errors import TransportError
from maskworks.images.reader import InProcessDecoder
from maskworks.loop import Loop
from maskworks.pipeline import Pipeline
from maskworks.transports.memory import MemoryTransport
from maskworks.wire.mask_png import encode_mask
from maskworks.wire.request import read_pair
from tests.support.bright import Bright
from tests.support.chunks import ENDLESS, Chunks
from tests.support.jobs import Steps, a_job
from tests.support.samples import PROMPT, encoded

ENDLESS_PROMPT = json.dumps({**json.loads(PROMPT), "label": ENDLESS}).encode()
MASKS = Steps(writer=lambda p: {"mask": encode_mask(p.mask)})


def jobs(number, steps=MASKS):
    return [a_job(str(index), encoded(), PROMPT, format=steps) for index in range(number)]


def loop(transport, predictor=None, stop=None, *, batch_size=1, batch_wait_ms=0.0, **settings):
    pipeline = Pipeline(predictor=predictor or Bright())
    config = LoopConfig(batch_size=batch_size, batch_wait_ms=batch_wait_ms)
    return Loop(transport, pipeline, config, stop or threading.Event(), **settings)


@pytest.mark.parametrize("in_order", [True, False])
def test_every_job_ends_once_and_in_order_where_that_is_promised(in_order):
    transport, predictor = MemoryTransport(jobs(30)), Bright()
    metrics = loop(transport, predictor, batch_size=4, in_order=in_order).run()
    ended = [int(job.id) for job, _ in transport.outcomes]
    seen = [int(name) for batch in predictor.batches for name in batch]
    assert sorted(ended) == sorted(seen) == list(range(30))
    assert not in_order or ended == seen == list(range(30))
    assert (metrics.done, metrics.failed, metrics.objects) == (30, 0, 30)


def test_step_takes_what_is_waiting_up_to_the_batch_size():
    transport, predictor = MemoryTransport(jobs(5)), Bright(0.02)
    under_test = loop(transport, predictor, batch_size=2, batch_wait_ms=1000)
    assert [under_test.step(), under_test.step(), under_test.step()] == [2, 2, 1]


def test_step_does_not_wait_longer_than_told_for_a_full_batch():
    transport = MemoryTransport(jobs(1))
    under_test = loop(transport, batch_size=8, batch_wait_ms=50)
    start = time.monotonic()
    assert under_test.step() == 1
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("batch_size", [1, 4])
def test_no_more_is_held_than_promised(batch_size):
    """Two batches, and one for each thread that decodes and encodes."""
    held = []

    class Counting(Bright):
        def predict(self, requests):
            time.sleep(0.02)  # for as long as the model works, the loop may take what it wants; it must not
            held.append((under_test.in_flight, len(requests)))
            return super().predict(requests)

    transport = MemoryTransport(jobs(40))
    under_test = loop(transport, Counting(), batch_size=batch_size, codec_threads=4)
    under_test.run()
    assert all(in_work <= found for found, in_work in held)
    assert max(found for found, _ in held) <= 2 * batch_size + 4


class Held(InProcessDecoder):
    """Does not end with images of one body until it is let go."""

    def __init__(self, body):
        super().__init__()
        object.__setattr__(self, "body", body)
        object.__setattr__(self, "let_go", threading.Event())

    def decode(self, data, requester=None):
        if data == self.body:
            assert self.let_go.wait(60)
        return super().decode(data)


def held(number, slow=1):
    """Jobs of which the first `slow` are held, and what holds them."""
    body = encoded(fmt="BMP")
    first = [a_job(f"slow {index}", body, PROMPT, format=MASKS) for index in range(slow)]
    return MemoryTransport([*first, *jobs(number)]), Held(body)


def let_go_after(number, decoder):
    """Notes what ends, and lets go once so many have ended."""
    ended = []

    def note(job, outcome):
        ended.append(job.id)
        if len(ended) == number:
            decoder.let_go.set()

    return ended, note


@pytest.mark.parametrize(("slow", "others"), [(1, 4), (6, 20)])
def test_what_takes_long_to_decode_holds_nothing_back(slow, others):
    """Also where as many take long as the loop would hold at a time."""
    transport, decoder = held(others, slow)
    ended, note = let_go_after(others, decoder)
    Loop(
        transport, Pipeline(predictor=Bright(), decoder=decoder), LoopConfig(), threading.Event(), on_outcome=note
    ).run()
    assert sorted(ended[:others], key=int) == [str(index) for index in range(others)]
    assert len(ended) == slow + others


def test_a_promised_order_waits_for_what_takes_long_to_decode():
    transport, decoder = held(4)

    class Noting(Pipeline):
        def decode(self, job):
            found = super().decode(job)
            if job.id == "3":
                decoder.let_go.set()
            return found

    pipeline = Noting(predictor=Bright(), decoder=decoder)
    Loop(transport, pipeline, LoopConfig(), threading.Event(), in_order=True).run()
    assert [job.id for job, _ in transport.outcomes] == ["slow 0", "0", "1", "2", "3"]


def test_many_that_take_long_in_the_model_hold_nothing_back():
    """More of them than the loop would hold otherwise, each of another requester; the others end meanwhile."""
    endless = [
        a_job(f"endless {index}", encoded(), ENDLESS_PROMPT, format=MASKS, requester=f"asks for much {index}")
        for index in range(12)
    ]
    others = [replace(job, requester=f"another {job.id}") for job in jobs(5)]
    ended = []

    def note(job, outcome):
        ended.append(job.id)
        if len(ended) == len(others):
            for each in endless:
                each.given_up.set()

    transport = MemoryTransport([*endless, *others])
    pipeline = Pipeline(predictor=Chunks(lambda name: time.sleep(0.05)))
    metrics = Loop(transport, pipeline, LoopConfig(), threading.Event(), on_outcome=note).run()
    assert sorted(ended[:5]) == ["0", "1", "2", "3", "4"]
    assert (metrics.done, metrics.failed) == (5, 12)


def test_step_without_work_returns():
    transport = MemoryTransport(jobs(1))
    transport.receive(1, 0)  # held elsewhere, so the transport is not exhausted
    assert loop(transport).step(timeout=0.01) == 0


def test_jobs_that_arrive_later_are_taken():
    transport = MemoryTransport(jobs(1))
    late = [a_job("late", encoded(), PROMPT)]

    class Busy(Bright):
        def predict(self, requests):
            while late:
                transport.put(late.pop())
            return super().predict(requests)

    assert loop(transport, Busy()).run().done == 2


def test_stop_finishes_what_runs_and_gives_back_the_rest():
    stop = threading.Event()
    transport = MemoryTransport(jobs(20))
    metrics = loop(transport, Bright(0.05), stop, on_outcome=lambda job, outcome: stop.set()).run()
    names = {job.id for job, _ in transport.outcomes} | {job.id for job in transport.returned}
    assert metrics.done == len(transport.outcomes) < 20
    assert len(names) == len(transport.outcomes) + len(transport.returned)


def test_stop_answers_what_cannot_be_given_back():
    class Greedy(MemoryTransport):
        def give_back(self, job):
            return False

    stop = threading.Event()
    transport = Greedy(jobs(20))
    received = []
    original = transport.receive
    transport.receive = lambda limit, timeout: received.extend(got := original(limit, timeout)) or got
    loop(transport, Bright(0.05), stop, on_outcome=lambda job, outcome: stop.set()).run()
    assert {job.id for job, _ in transport.outcomes} == {job.id for job in received}


def test_max_jobs_ends_the_loop():
    transport = MemoryTransport(jobs(50))
    metrics = loop(transport, Bright(0.01)).run(max_jobs=5)
    assert 5 <= metrics.done < 50


class Full(MemoryTransport):
    """Cannot deliver the first `failures` times."""

    def __init__(self, jobs, failures):
        super().__init__(jobs)
        self.failures = failures

    def deliver(self, job, outcome):
        self.failures -= 1
        if self.failures >= 0:
            raise TransportError("no space left")
        super().deliver(job, outcome)

    def give_back(self, job):
        super().give_back(job)
        self.put(job)
        return True


def test_a_failing_transport_ends_the_run_and_keeps_the_jobs():
    transport = Full(jobs(3), failures=1000)
    with pytest.raises(TransportError, match="no space"):
        loop(transport).run()
    assert transport.backlog == 3


def test_a_patient_loop_tries_again():
    transport = Full(jobs(3), failures=1)
    metrics = loop(transport, patient=True).run()
    assert metrics.done == 3
    assert {job.id for job, _ in transport.outcomes} == {"0", "1", "2"}


def test_a_source_that_cannot_be_read_ends_the_run():
    class Broken(MemoryTransport):
        def receive(self, limit, timeout):
            raise TransportError("gone")

    with pytest.raises(TransportError, match="gone"):
        loop(Broken(jobs(1))).run()


def test_decoding_and_encoding_run_beside_the_model():
    """While the model works on one image, the next one is decoded."""
    started, decoded_meanwhile = threading.Event(), threading.Event()

    class Slow(Bright):
        def predict(self, requests):
            if requests[0].id == "0":
                started.set()
                assert decoded_meanwhile.wait(10)
            return super().predict(requests)

    def read(job, config):
        if job.id == "1" and started.wait(10):
            decoded_meanwhile.set()
        return read_pair(job, config)

    transport = MemoryTransport(jobs(2, Steps(reader=read, writer=lambda p: {})))
    pipeline = Pipeline(predictor=Slow())
    metrics = Loop(transport, pipeline, LoopConfig(), threading.Event()).run()
    assert metrics.done == 2
