"""DEXTR as the pipeline uses it."""

from __future__ import annotations

import numpy as np
import pytest
from torch.nn.modules.module import register_module_forward_pre_hook

from dextr.acceleration import PreparedNet
from maskworks.errors import RequestError, UnsupportedPrompt
from maskworks.types import Prompt, Request
from maskworks_dextr.adapter import DextrPredictor
from maskworks_dextr.options import DextrConfig


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
def test_one_crop_at_a_time_on_the_cpu(device):
    """Whatever it is called: several at a time take longer there."""
    predictor = DextrPredictor.load(DextrConfig(model="demo", device=device, precision="fp32"))
    prompt = Prompt(extreme_points=np.array([[5.0, 20], [20, 5], [40, 20], [20, 40]]))
    sizes = []

    def watch(module, inputs):
        if isinstance(module, PreparedNet):
            sizes.append(len(inputs[0]))

    with register_module_forward_pre_hook(watch):
        predictor.predict([Request("a", np.zeros((50, 60, 3), np.uint8), (prompt, prompt))])
    assert sizes == [1, 1]


def test_chunks_find_what_all_at_once_finds():
    predictor = DextrPredictor.load(DextrConfig(model="demo", device="cpu", precision="fp32"))
    image = np.random.default_rng(0).integers(0, 256, (50, 60, 3), np.uint8)
    points = [Prompt(extreme_points=np.array([[5.0 + x, 20], [20, 5], [40, 20], [20, 40]])) for x in range(5)]
    clicks = Prompt(clicks=np.array([[5.0, 5.0]]), click_labels=np.array([1], np.uint8))
    requests = [
        Request("few", image, (points[0],)), Request("many", image, tuple(points)),
        Request("wrong", image, (clicks,)), Request("many wrong", image, (clicks, clicks)),
    ]  # fmt: skip
    chunks = [finished(work) for work in predictor.start(requests)]
    assert [number for number, _ in chunks] == [0, 5, 0, 0]
    for (_, found), expected in zip(chunks, predictor.predict(requests), strict=True):
        if isinstance(expected, RequestError):
            assert (type(found), found.message) == (UnsupportedPrompt, expected.message)
            continue
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one.pixels(), other.pixels())
            assert (one.offset, one.meta) == (other.offset, other.meta)


def test_names_and_what_dextr_has_no_use_for():
    predictor = DextrPredictor.load(DextrConfig(model="demo", device="cpu", precision="fp32"))
    image = np.zeros((50, 60, 3), np.uint8)
    points = np.array([[5.0, 20], [20, 5], [40, 20], [20, 40]])
    named, nameless = Prompt(extreme_points=points, name="cup"), Prompt(extreme_points=points)
    request = Request("a", image, (named, nameless), options=("low_res_logits",))
    (at_once,), ((_, in_chunks),) = predictor.predict([request]), [finished(w) for w in predictor.start([request])]
    for found in (at_once, in_chunks):
        assert [instance.name for instance in found] == ["cup", "object"]
        assert [instance.meta.get("name") for instance in found] == ["cup", None]
        assert found.ignored == ("low_res_logits",)
    logits = Prompt(path="objects[0]", extreme_points=points, mask_input=np.zeros((4, 4), np.float32))
    (error,) = predictor.predict([Request("a", image, (logits,))])
    assert isinstance(error, UnsupportedPrompt)
    assert "objects[0].mask_input: logits, which DEXTR cannot use" in error.message


def finished(work):
    """After how many stops it ended, and with what."""
    stops = 0
    while True:
        try:
            next(work)
        except StopIteration as end:
            return stops, end.value
        except RequestError as error:
            return stops, error
        stops += 1
