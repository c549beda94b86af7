"""A model that works in chunks: requesters share it, and what nobody waits for is given up."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import replace

import pytest

from maskworks import loop as loop_module
from maskworks import turns as turns_module
from maskworks.config import LoopConfig
from maskworks.loop import Loop
from maskworks.pipeline import Pipeline
from maskworks.transports.memory import MemoryTransport
from maskworks.turns import Turns
from maskworks.wire.request import read_pair
from tests.support.bright import Bright
from tests.support.chunks import BROKEN, ENDLESS, Chunks
from tests.support.jobs import Steps, a_job
from tests.support.samples import encoded, prompt

POINTS = [[8, 4], [4, 8], [12, 8], [8, 12]]


def job(name, chunks=1, requester=None, reply_to=None):
    steps = Steps(reader=lambda job, decoder: replace(read_pair(job, decoder), reply_to=reply_to))
    return a_job(name, encoded(), prompt(points=POINTS, label=chunks), format=steps, requester=requester)


class Clock:
    """Goes on by a second with each chunk, by five with those of which the name says so."""

    def __init__(self):
        self.now, self.seconds = 0.0, 1.0

    def __call__(self):
        return self.now

    def tick(self, name):
        self.now += 5.0 if "long" in name else self.seconds


class Sharing:
    """Turns of a model whose chunks take a second each, which are turns of their own."""

    def __init__(self, batch_size=1, **settings):
        self.clock = Clock()
        self.model = Chunks(self.clock.tick)
        self.pipeline = Pipeline(predictor=self.model)
        self.turns = Turns(self.pipeline, batch_size, clock=self.clock, **settings)
        self.ended = []

    def add(self, *jobs):
        for each in jobs:
            self.turns.add(self.pipeline.decode(each))

    def turn(self, number=1):
        for _ in range(number):
            self.ended += [item.job.id for item, _ in self.turns.turn()]

    def all(self):
        while self.turns:
            self.turn()
        return self.ended


@pytest.mark.parametrize("who", [("a", "b", None, None), (None, None, "a", "b"), (None,) * 4, ("a", "a", None, None)])
def test_a_cheap_request_waits_for_a_chunk_and_not_for_a_dear_request(who):
    """Whether they are of two connections, want their answers at two places, or cannot be told apart."""
    sharing = Sharing()
    sharing.add(job("dear", 50, who[0], who[2]))
    sharing.turn(20)
    sharing.add(job("cheap", 1, who[1], who[3]))
    before = len(sharing.model.steps)
    while "cheap" not in sharing.ended:
        sharing.turn()
    assert len(sharing.model.steps) - before <= 2
    assert sharing.all() == ["cheap", "dear"]


def test_each_requester_gets_its_share_however_many_its_requests_are():
    sharing = Sharing()
    sharing.add(*(job(f"many {number}", 50, "many") for number in range(4)), job("one", 20, "one"))
    while "one" not in sharing.ended:
        sharing.turn()
    assert len(sharing.model.steps) <= 2 * 20 + 3


def test_what_is_soon_done_is_done_one_after_the_other():
    """Side by side, all would end as late as the last one."""
    sharing = Sharing()
    sharing.clock.seconds = 0.1
    sharing.add(*(job(f"{number}", 3, f"client {number}") for number in range(3)))
    sharing.all()
    assert sharing.ended == ["0", "1", "2"]
    assert sharing.model.steps == ["0"] * 3 + ["1"] * 3 + ["2"] * 3


@pytest.mark.parametrize(("seconds", "side_by_side"), [(0.1, False), (0.25, False), (1.0, True)])
def test_what_is_usual_is_done_at_one_go_on_a_slow_machine_too(seconds, side_by_side):
    """Within bounds: where all ask for much, they share."""
    sharing = Sharing()
    sharing.clock.seconds = seconds
    sharing.add(*(job(f"before {number}", 3) for number in range(9)))
    sharing.all()
    sharing.add(job("a", 4, "a"), job("b", 4, "b"))
    sharing.all()
    assert (sharing.model.steps[-8:] != ["a"] * 4 + ["b"] * 4) == side_by_side


@pytest.mark.parametrize("name", ["busy", "new {}"])
@pytest.mark.parametrize(("kind", "chunks", "seconds"), [("cheap", 3, 3), ("long", 1, 5)])
def test_many_requests_do_not_keep_a_dear_one_from_its_share(name, kind, chunks, seconds):
    """Neither those of one requester, one after the other, nor those of ever new ones."""
    sharing = Sharing()
    sharing.add(job("dear", 40, "dear"))
    sharing.turn()
    number = 0
    while "dear" not in sharing.ended:
        sharing.add(job(f"{kind} {number}", chunks, name.format(number)))
        while f"{kind} {number}" not in sharing.ended:
            sharing.turn()
        number += 1
    assert 40 / seconds - 2 <= number <= 40 / seconds + 2


@pytest.mark.parametrize("name", ["busy", "new {}"])
@pytest.mark.parametrize("crowd", [2, 5])
def test_a_crowd_that_never_ends_does_not_keep_a_dear_one_from_its_share(name, crowd):
    """At any time there are as many others, of which none has had a turn when the one before has ended."""
    sharing = Sharing()
    sharing.add(job("dear", 20, "dear"))
    numbers = itertools.count()
    while "dear" not in sharing.ended:
        for _ in range(crowd - len(sharing.turns) + 1):
            number = next(numbers)
            sharing.add(job(f"cheap {number}", 2, name.format(number)))
        sharing.turn()
        of_the_dear = sharing.model.steps.count("dear")
        shares = 2 if name == "busy" else crowd + 1
        assert len(sharing.model.steps) <= shares * (of_the_dear + 2 * crowd)


@pytest.mark.parametrize("dear", [2, 20])
def test_a_new_one_is_next_however_many_have_begun(dear):
    sharing = Sharing()
    sharing.add(*(job(f"long {number}", 50, f"client {number}") for number in range(dear)))
    sharing.turn(5 * dear + dear // 2)
    sharing.add(job("cheap", 1, "another"))
    before = len(sharing.model.steps)
    while "cheap" not in sharing.ended:
        sharing.turn()
    assert len(sharing.model.steps) - before <= 2


def test_what_a_requester_had_before_is_not_held_against_it():
    sharing = Sharing()
    sharing.add(job("dear", 50, "a"))
    sharing.all()
    sharing.add(job("first", 10, "b"), job("second", 10, "a"))
    assert sharing.all() == ["dear", "first", "second"]
    assert sharing.turns._by_name == {}
    assert sharing.turns._requesters.claims == []


def test_what_is_begun_together_stays_a_batch():
    sharing = Sharing(batch_size=3)
    sharing.add(*(job(f"{number}", 2, f"client {number}") for number in range(5)))
    sharing.all()
    assert sharing.model.begun == [["0", "1", "2"], ["3", "4"]]
    assert sorted(sharing.ended) == ["0", "1", "2", "3", "4"]


def test_a_promised_order_holds_whoever_asks():
    sharing = Sharing(in_order=True)
    sharing.add(job("dear", 50, "a"), job("cheap", 1, "b"))
    assert sharing.all() == ["dear", "cheap"]


def test_an_error_in_a_chunk_answers_its_request_alone():
    transport = MemoryTransport([job("good", 5), job("bad", BROKEN), job("other", 3)])
    metrics = Loop(transport, Pipeline(predictor=Chunks()), LoopConfig(batch_size=3), threading.Event()).run()
    errors = {job.id: outcome.error and outcome.error.code for job, outcome in transport.outcomes}
    assert errors == {"good": None, "bad": "internal", "other": None}
    assert (metrics.done, metrics.failed) == (2, 1)


def test_work_that_nobody_waits_for_ends_with_its_chunk():
    endless = job("endless", ENDLESS)

    def give_up(name):
        if len(model.steps) == 5:
            endless.given_up.set()

    model = Chunks(give_up)
    transport = MemoryTransport([endless, job("good", 2)])
    Loop(transport, Pipeline(predictor=model), LoopConfig(), threading.Event()).run()
    assert model.closed == ["endless"]
    assert model.steps[5:].count("endless") == 0
    assert {job.id: outcome.error and outcome.error.code for job, outcome in transport.outcomes} == {
        "endless": "timed_out", "good": None
    }  # fmt: skip


@pytest.mark.parametrize("model", [Bright(), Chunks()], ids=["whole", "chunks"])
def test_what_nobody_waits_for_never_comes_to_the_model(model):
    late = job("late")
    late.given_up.set()
    transport = MemoryTransport([late, job("good")])
    Loop(transport, Pipeline(predictor=model), LoopConfig(), threading.Event()).run()
    assert (model.batches if isinstance(model, Bright) else model.begun) == [["good"]]
    assert {job.id: outcome.error is None for job, outcome in transport.outcomes} == {"late": False, "good": True}


@pytest.mark.parametrize("slow", [5, 6, 8])
def test_as_many_dear_requests_as_the_loop_holds_do_not_keep_others_out(slow, monkeypatch):
    monkeypatch.setattr(turns_module, "_SLOW_SECONDS", 0.0)
    dear = [job(f"dear {number}", ENDLESS, f"client {number}") for number in range(slow)]

    def note(job, outcome):
        if job.id == "cheap":
            for each in dear:
                each.given_up.set()

    def work(name):
        assert time.monotonic() < deadline, "the cheap request did not come in"

    transport, deadline = MemoryTransport([*dear, job("cheap", 2, "another")]), time.monotonic() + 60
    Loop(transport, Pipeline(predictor=Chunks(work)), LoopConfig(), threading.Event(), on_outcome=note).run()
    assert [job.id for job, outcome in transport.outcomes if outcome.error is None] == ["cheap"]


@pytest.mark.parametrize("large", [4, 6, 10])
def test_answers_that_take_long_to_write_hold_no_others_back(large, monkeypatch):
    """Also as many of them as the loop holds, or has threads for."""
    monkeypatch.setattr(loop_module, "_LARGE_ANSWER", 500)
    let_go = threading.Event()

    def write(prediction):
        if len(prediction.instances) > 1:
            assert let_go.wait(60)
        return {}

    def asked(name, objects):
        return a_job(name, encoded(), prompt(objects=[{"points": POINTS}] * objects), format=Steps(writer=write))

    def note(job, outcome):
        if job.id == "small":
            let_go.set()

    transport = MemoryTransport([*(asked(f"{number}", 3) for number in range(large)), asked("small", 1)])
    Loop(transport, Pipeline(predictor=Bright()), LoopConfig(), threading.Event(), on_outcome=note).run()
    assert transport.outcomes[0][0].id == "small"
    assert len(transport.outcomes) == large + 1


class Channel(MemoryTransport):
    """Takes nothing back."""

    def give_back(self, job):
        return False


def stopped(transport):
    """A loop that is asked to stop in the fifth chunk, and its model."""
    stop = threading.Event()
    model = Chunks(lambda name: stop.set() if len(model.steps) >= 5 else None)
    Loop(transport, Pipeline(predictor=model), LoopConfig(), stop).run()
    return model


def test_begun_work_is_given_back_when_the_worker_stops():
    transport = MemoryTransport([job("endless", ENDLESS)])
    model = stopped(transport)
    assert (model.closed, [job.id for job in transport.returned]) == (["endless"], ["endless"])
    assert transport.outcomes == []


def test_begun_work_that_nobody_takes_back_is_finished_when_the_worker_stops():
    transport = Channel([job("dear", 60)])
    stopped(transport)
    assert [outcome.error for _, outcome in transport.outcomes] == [None]


def test_a_stopping_worker_answers_what_it_cannot_finish(monkeypatch):
    monkeypatch.setattr(loop_module, "_GRACE_SECONDS", 0.2)
    transport = Channel([job("endless", ENDLESS)])
    model = stopped(transport)
    assert model.closed == ["endless"]
    ((_, outcome),) = transport.outcomes
    assert outcome.error.code == "overloaded"


def test_a_stopping_worker_of_a_model_without_chunks_does_the_same(monkeypatch):
    monkeypatch.setattr(loop_module, "_GRACE_SECONDS", 0.0)
    stop = threading.Event()
    transport = Channel([job(f"{number}") for number in range(6)])
    Loop(transport, Pipeline(predictor=Bright(0.02)), LoopConfig(), stop, on_outcome=lambda *_: stop.set()).run()
    codes = {outcome.error and outcome.error.code for _, outcome in transport.outcomes}
    assert codes <= {None, "overloaded"}
    assert len(transport.outcomes) >= 1
    assert transport.exhausted or transport.backlog


def test_time_in_the_model_is_that_of_all_chunks():
    transport = MemoryTransport([job("a", 3)])
    metrics = Loop(transport, Pipeline(predictor=Chunks(lambda name: threading.Event().wait(0.01))), LoopConfig(),
                   threading.Event()).run()  # fmt: skip
    assert metrics.stages_ms["predict"] >= 30
