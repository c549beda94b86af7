"""Work on a request in chunks: the same answer, and others go first."""

from __future__ import annotations

import base64
import json
import threading
from dataclasses import replace

import pytest

from maskworks import turns
from maskworks.config import LoopConfig
from maskworks.errors import BadPrompt
from maskworks.loop import Loop
from maskworks.pipeline import Pipeline
from maskworks.predictor import StepwisePredictor
from maskworks.transports.memory import MemoryTransport
from tests.support.jobs import a_job
from tests.support.sam_models import adapter, photo, request_for, whole
from tests.support.samples import encoded

BOX = {"x0": 70, "y0": 20, "x1": 480, "y1": 390}
CLICK = {"x": 210, "y": 160, "label": 1}


def many(count):
    """Boxes and clicks in turn, each a little different: prompts of two lengths."""
    boxes = [{"box": {**BOX, "x0": i}} if i % 2 else {"points": [{**CLICK, "x": 100 + i}]} for i in range(count)]
    return {"objects": boxes}


def worked(work):
    """The number of chunks, and what came of them."""
    chunks = 0
    while True:
        try:
            next(work)
        except StopIteration as end:
            return chunks, end.value
        chunks += 1


@pytest.mark.slow("computes with a network")
def test_chunks_give_the_answer_of_the_whole(sam):
    assert isinstance(sam, StepwisePredictor)
    requests = [request_for(photo(name), **many(count)) for name, count in (("coffee", 11), ("cat", 1))]
    expected = sam.predict(requests)
    works = sam.start(requests)
    for request, whole_answer, (chunks, found) in zip(requests, expected, map(worked, works), strict=True):
        assert chunks >= len(request.prompts) + -(-len(request.prompts) // 4)  # one for each mask, too
        assert [instance.label for instance in found] == list(range(1, len(request.prompts) + 1))
        assert [instance.meta for instance in found] == [instance.meta for instance in whole_answer]
        for one, other in zip(found, whole_answer, strict=True):
            a, b = (whole(each.pixels(), each.offset, request.size) for each in (one, other))
            assert (a == b).all()


@pytest.mark.slow("computes with a network")
def test_everything_in_an_image_comes_in_chunks():
    sam = adapter(automatic=True, points_per_side=4, pred_iou_thresh=0.5, stability_score_thresh=0.5)
    (expected,), (work,) = sam.predict([request_for(photo())]), sam.start([request_for(photo())])
    chunks, found = worked(work)
    assert chunks >= 4
    assert [instance.meta for instance in found] == [instance.meta for instance in expected]


def test_work_that_is_given_up_changes_nothing(sam):
    (expected,) = sam.predict([request_for(photo(), box=BOX)])
    given_up, other = sam.start([request_for(photo(), **many(9)), request_for(photo(), box=BOX)])
    for _ in range(3):
        next(given_up)
    given_up.close()
    _, found = worked(other)
    assert found[0].score == expected[0].score


def test_a_prompt_that_cannot_be_used_is_told_before_anything_is_decoded(sam, monkeypatch):
    monkeypatch.setattr(sam._decoder._decoder, "predict_masks", None)
    prompt = request_for(
        photo(), objects=[{"box": BOX}, {"box": BOX, "mask_input": base64.b64encode(bytes(16)).decode()}]
    )
    (work,) = sam.start([prompt])
    with pytest.raises(BadPrompt, match=r"objects\[1\].mask_input"):
        next(work)


@pytest.mark.slow("computes with a network")
def test_one_box_does_not_wait_for_sixty(sam, monkeypatch):
    """Nor for an image full of clicks."""
    from PIL import Image

    clicks = [{**CLICK, "x": 100 + i, "label": i % 2} for i in range(100)]
    dear = [many(60), {"objects": [{"points": clicks}] * 5}]
    image = encoded(Image.fromarray(photo()))
    jobs = [a_job(f"dear {n}", image, json.dumps(each).encode(), requester=f"{n}") for n, each in enumerate(dear)]
    cheap = a_job("cheap", image, json.dumps({"box": BOX}).encode(), requester="another")
    transport, chunks, decoded = MemoryTransport(jobs), [], threading.Event()

    class Watched(Pipeline):
        def decode(self, job):
            found = super().decode(job)
            if job is cheap:
                decoded.set()
            return found

        def advance(self, item, work):
            chunks.append(item.job.id)
            if len(chunks) == 4:
                transport.put(cheap)
                assert decoded.wait(60)
            return super().advance(item, work)

    for name in ("_FIRST_SECONDS", "_TURN_SECONDS"):
        monkeypatch.setattr(turns, name, 0.0)
    Loop(transport, Watched(predictor=sam), LoopConfig(), threading.Event()).run()
    assert transport.outcomes[0][0].id == "cheap"
    assert all(outcome.error is None for _, outcome in transport.outcomes)


def test_a_job_knows_its_requester():
    job = a_job("a")
    assert replace(job, body=b"more").given_up is job.given_up
    assert job.given_up is not a_job("a").given_up
