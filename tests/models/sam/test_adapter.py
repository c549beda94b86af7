"""The adapter as the pipeline uses it: nothing mixes, what fails fails alone, everything in an image is found."""

from __future__ import annotations

import base64
import json
from functools import partial

import numpy as np
import pytest
import torch

from maskworks.pipeline import Pipeline
from maskworks_sam.decoder import _SCORES_BYTES
from tests.support.jobs import a_job
from tests.support.sam_models import adapter, photo, real_objects, request_for, whole
from tests.support.samples import encoded
from tests.support.tensor_memory import PeakMemory

BOX = {"x0": 70, "y0": 20, "x1": 480, "y1": 390}


def jobs(*names, prompt=None):
    from PIL import Image

    text = json.dumps(prompt or {"box": BOX}).encode()
    return [a_job(name, encoded(Image.fromarray(photo(name))), text) for name in names]


def run(sam, jobs):
    pipeline = Pipeline(predictor=sam)
    outcomes = pipeline.run(jobs)
    return [outcome.error or json.loads(outcome.parts["reply"]) for outcome in outcomes]


def test_the_objects_of_the_photos_are_found(sam):
    """The small model knows them by heart; what it finds shows that boxes and clicks arrive where they belong."""
    ratios = []
    for name, (x0, y0, x1, y1), _ in real_objects():
        (found,) = sam.predict([request_for(photo(name), box={"x0": x0, "y0": y0, "x1": x1, "y1": y1})])
        rows, columns = np.nonzero(whole(found[0].mask, found[0].offset, photo(name).shape[:2]))
        inner = [max(x0, columns.min()), max(y0, rows.min()), min(x1, columns.max()), min(y1, rows.max())]
        area = max(0, inner[2] - inner[0]) * max(0, inner[3] - inner[1])
        own = np.ptp(columns) * np.ptp(rows)
        ratios.append(area / ((x1 - x0) * (y1 - y0) + own - area))
    assert np.mean(ratios) > 0.7


def test_meta_says_what_was_done(sam):
    reply, again = (run(sam, jobs("coffee"))[0] for _ in range(2))
    assert reply["meta"]["segmenter"] == {"type": "sam", "model_type": "vit_64x3", "model_file": "small.safetensors"}
    assert (reply["meta"]["cache"], again["meta"]["cache"]) == ("miss", "hit")
    (facts,) = reply["meta"]["objects"]
    assert set(facts) == {"label", "score", "stability", "prompt", "output"}
    assert 0 < facts["stability"] <= 1
    assert reply["mask"] == again["mask"]


def test_logits_come_on_request_only(sam):
    reply = run(sam, jobs("coffee", prompt={"box": BOX, "low_res_logits": True}))[0]
    text = reply["meta"]["objects"][0]["low_res_logits"]
    assert len(base64.b64decode(text)) == 64 * 64 * 4
    again = run(sam, jobs("coffee", prompt={"mask_input": text, "box": BOX}))[0]
    assert again["meta"]["objects"][0]["score"] > 0


def test_logits_of_another_size_are_refused(sam):
    text = base64.b64encode(np.zeros((16, 16), "<f4").tobytes()).decode()
    bad, good = run(sam, jobs("coffee", prompt={"mask_input": text}) + jobs("cat"))
    assert (bad.code, bad.path) == ("bad_prompt", "mask_input")
    assert "64x64" in bad.message
    assert good["contours"]


def test_prompts_that_reach_far_outside_find_something_or_nothing(sam):
    far = {
        "objects": [
            {"points": [{"x": 8, "y": 8, "label": 1}, {"x": -9e6, "y": 9e6, "label": 1}]},
            {"box": {"x0": 9, "y0": 9e5, "x1": 1e6, "y1": 9}},
        ]
    }
    (reply,) = run(sam, jobs("coffee", prompt=far))
    assert len(reply["meta"]["objects"]) == 2
    assert reply["meta"]["outside"] == ["objects[0].points[1]", "objects[1].box"]


def test_each_object_has_its_mask_choice_and_its_name(sam):
    click = {"points": [{"x": 250, "y": 200, "label": 1}]}
    prompt = {"mask_choice": "all", "objects": [click, {**click, "mask_choice": "single", "name": "cup"}]}
    (reply,) = run(sam, jobs("coffee", prompt=prompt))
    facts = reply["meta"]["objects"]
    assert [fact["prompt"] for fact in facts] == [0, 0, 0, 1]
    assert sorted(fact["output"] for fact in facts[:3]) == [1, 2, 3]
    assert (facts[3]["output"], facts[3]["name"]) == (0, "cup")
    (single,) = run(adapter(mask_choice="all"), jobs("coffee", prompt={**click, "mask_choice": "single"}))
    assert [fact["output"] for fact in single["meta"]["objects"]] == [0]


def test_all_masks_of_a_click(sam):
    everything = adapter(mask_choice="all")
    (reply,) = run(everything, jobs("coffee", prompt={"points": [{"x": 250, "y": 200, "label": 1}]}))
    facts = reply["meta"]["objects"]
    assert sorted(fact["output"] for fact in facts) == [1, 2, 3]
    assert {fact["prompt"] for fact in facts} == {0}


@pytest.mark.slow("computes with a network")
def test_two_hundred_objects_in_an_image(sam):
    boxes = [{"box": {"x0": i, "y0": i, "x1": i + 80, "y1": i + 90}} for i in range(200)]
    (reply,) = run(sam, jobs("coffee", prompt={"objects": boxes}))
    assert len(reply["meta"]["objects"]) == 200


@pytest.mark.slow("computes with a network")
def test_long_prompts_are_decoded_a_few_at_a_time(sam, monkeypatch):
    clicks = [{"x": 10 + i, "y": 20 + i, "label": i % 2} for i in range(200)]
    request = request_for(photo(), objects=[{"points": clicks[i:] + clicks[:i]} for i in range(16)])
    decode = partial(sam._decoder.decode, sam._embedder.embed([photo()])[0].values, request.prompts, request.size)
    monkeypatch.setitem(_SCORES_BYTES, "cpu", 2**30)
    monkeypatch.setattr(sam._decoder, "_most", 16)
    together = decode()
    monkeypatch.setitem(_SCORES_BYTES, "cpu", 2**20)
    with PeakMemory() as memory:
        found = decode()
    assert memory.peak < 20 * 2**20
    torch.testing.assert_close(found.logits, together.logits, rtol=0, atol=1e-3)
    torch.testing.assert_close(found.scores, together.scores, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("[enforce fail] DefaultCPUAllocator: no")]
)
def test_a_batch_that_does_not_fit_is_halved_and_all_are_answered(sam, monkeypatch, error):
    encode, sizes = sam._embedder._encoder.forward, []

    def little_memory(images):
        sizes.append(len(images))
        if len(images) > 1:
            raise error
        return encode(images)

    monkeypatch.setattr(sam._embedder._encoder, "forward", little_memory)
    replies = run(sam, jobs("coffee", "cat", "coins"))
    assert sizes[0] == 3
    assert sizes.count(1) == 3
    monkeypatch.undo()
    for reply, expected in zip(replies, run(adapter(), jobs("coffee", "cat", "coins")), strict=True):
        assert reply["mask"] == expected["mask"]


def test_memory_of_this_machine_running_out_is_recognised(sam, monkeypatch):
    monkeypatch.setattr(sam._embedder._encoder, "forward", lambda images: torch.empty(2**50))
    (error,) = run(sam, jobs("coffee"))
    assert error.code == "out_of_memory"


@pytest.mark.slow("computes with a network")
def test_everything_in_an_image():
    sam = adapter(automatic=True, points_per_side=8, pred_iou_thresh=0.6, stability_score_thresh=0.7)
    (found,) = sam.predict([request_for(photo("coins"))])
    assert found.meta["cache"] == "miss"
    areas = [instance.pixels().sum() for instance in found]
    assert all(instance.pixels().size < photo("coins").size / 3 for instance in found[1:])
    assert areas == sorted(areas, reverse=True)
    assert all(instance.score > 0.6 and instance.meta["stability"] >= 0.7 for instance in found)
    assert found
    (again,) = sam.predict([request_for(photo("coins"))])
    assert again.meta["cache"] == "hit"
    assert len(again) == len(found)


@pytest.mark.slow("computes with a network")
def test_everything_in_a_large_image(monkeypatch):
    """A few clicks at a time give what all of them together give, also where a few give nothing."""
    flags = {"points_per_side": 4, "pred_iou_thresh": 0.5, "stability_score_thresh": 0.5}
    request = request_for(np.tile(photo("coins"), (3, 3, 1)))
    monkeypatch.setattr("maskworks_sam.masks._UPSCALED_BYTES", 2**40)
    sam = adapter(automatic=True, **flags)
    (together,) = sam.predict([request])
    monkeypatch.setattr("maskworks_sam.masks._UPSCALED_BYTES", 2**20)
    with PeakMemory() as memory:
        (found,) = sam.predict([request])
    assert memory.peak < 10 * request.image.size * 4
    assert [instance.meta["point"] for instance in found] == [instance.meta["point"] for instance in together]
    for a, b in zip(together, found, strict=True):
        assert a.score == pytest.approx(b.score, abs=1e-3)
        assert (whole(a.pixels(), a.offset, request.size) != whole(b.pixels(), b.offset, request.size)).sum() <= 2


def test_nothing_in_an_image():
    sam = adapter(automatic=True, points_per_side=2)
    (found,) = sam.predict([request_for(np.zeros((64, 64, 3), np.uint8))])
    assert len(found) <= 4


def test_compiling_on_a_cpu_is_said_to_change_nothing(caplog):
    (found,) = adapter(compile=True).predict([request_for(photo(), box=BOX)])
    assert "--compile: changes nothing" in caplog.text
    assert found[0].mask.any()
