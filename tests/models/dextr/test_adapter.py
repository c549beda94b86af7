"""DEXTR as the pipeline uses it."""

from __future__ import annotations

import numpy as np
import pytest
from torch.nn.modules.module import register_module_forward_pre_hook

from dextr.acceleration import PreparedNet
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
