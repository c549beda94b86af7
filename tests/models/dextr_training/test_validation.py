"""The figures of a validation, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dextr.inference.paste import Patch
from dextr.model import DextrModel
from dextr.train.validation import intersection_over_union, validate


class Constant(nn.Module):
    """Logits that do not depend on the input."""

    def __init__(self, logit):
        super().__init__()
        self.logit = nn.Parameter(torch.tensor(float(logit)))

    def forward(self, x):
        return {"out": self.logit.expand(len(x), 1, *x.shape[2:])}


def batch_of(boxes):
    """Objects that fill the given crops."""
    crop_yx = torch.tensor(boxes, dtype=torch.float32)
    return {
        "crop": torch.zeros(len(boxes), 16, 16, 3, dtype=torch.uint8),
        "heat_rows": torch.zeros(len(boxes), 4, 16),
        "heat_columns": torch.zeros(len(boxes), 4, 16),
        "target_mask": torch.full((len(boxes), 16, 16), 255, dtype=torch.uint8),
        "crop_yx": crop_yx,
    }


def truth_of(*rectangles):
    samples = []
    for y0, x0, y1, x1 in rectangles:
        mask = np.zeros((20, 30), dtype=np.uint8)
        mask[y0:y1, x0:x1] = 255
        samples.append({"target_mask": mask})
    return samples


def test_mean_over_objects_in_the_pixels_of_the_image():
    batches = [batch_of([[[0, 0], [10, 10]], [[5, 5], [15, 25]]]), batch_of([[[0, 0], [10, 10]]])]
    truth = truth_of((0, 0, 10, 10), (5, 5, 15, 15), (10, 0, 20, 10))
    model = DextrModel(Constant(4.0), (16, 16), 1, 1.0)
    model.train()
    result = validate(model.net, batches, truth, torch.device("cpu")).mean()
    assert result.miou == pytest.approx((1 + 0.5 + 0) / 3)
    assert result.loss == 0  # a target without background weighs nothing
    assert model.net.training


def test_half_is_not_enough_by_one_level():
    truth = truth_of((0, 0, 10, 10))
    for logit, expected in ((0.0, 0.0), (0.01, 1.0)):  # 255 * 0.5 is truncated to 127
        model = DextrModel(Constant(logit), (16, 16), 1, 1.0)
        assert validate(model.net, [batch_of([[[0, 0], [10, 10]]])], truth, torch.device("cpu")).mean().miou == expected


def test_nothing_to_find_and_nothing_found_does_not_count():
    model = DextrModel(Constant(-4.0), (16, 16), 1, 1.0)
    batch = batch_of([[[0, 0], [10, 10]], [[0, 0], [10, 10]]])
    empty, full = truth_of((0, 0, 0, 0), (0, 0, 10, 10))
    assert validate(model.net, [batch], [empty, full], torch.device("cpu")).mean().miou == 0
    assert np.isnan(validate(model.net, [batch], [empty, empty], torch.device("cpu")).mean().miou)
    patch = Patch(np.full((4, 4), 128, dtype=np.uint8), (0, 0))
    assert intersection_over_union(np.zeros((9, 9), dtype=bool), patch) == 0
