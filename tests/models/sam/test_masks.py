"""Which of the model's masks is the answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from segment_anything.utils.amg import calculate_stability_score

from maskworks.wire.prompt import parse_prompt
from maskworks_sam.decoder import Decoded
from maskworks_sam.masks import chosen_masks, enlarge
from tests.support.sam_models import whole

CLICK, BOX = {"x": 1, "y": 1, "label": 1}, {"x0": 1, "y0": 1, "x1": 5, "y1": 5}
SIZE, SIDE = (48, 64), 64


def decoded(areas=(5, 9, 3, 7), scores=(0.9, 0.2, 0.5, 0.4)):
    """One prompt's four masks: squares whose sides are `areas` low-resolution pixels."""
    logits = torch.full((1, 4, 16, 16), -5.0)
    for output, side in enumerate(areas):
        logits[0, output, :side, :side] = 5.0
    return Decoded(logits, torch.tensor([scores]))


def outputs(choice, prompt, **answers):
    masks = chosen_masks(decoded(**answers), parse_prompt(prompt), choice, SIZE, SIDE)
    return [mask.output for mask in masks]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", [2]),
        ("best", [2]),
        ("single", [0]),
        ("largest", [1]),
        ("smallest", [2]),
        ("first", [1]),
        ("all", [1, 3, 2]),
    ],
)
def test_a_single_click_may_mean_many_things(choice, expected):
    assert outputs(choice, {"points": [CLICK]}) == expected


@pytest.mark.parametrize(
    "prompt", [{"points": [CLICK, CLICK]}, {"box": BOX}, {"points": [CLICK], "box": BOX}, {"points": [[1, 1]] * 4}]
)
def test_richer_prompts_mean_one(prompt):
    assert outputs("auto", prompt) == [0]
    assert outputs("best", prompt) == [2]
    assert outputs("first", prompt) == [1]


def test_an_empty_mask_is_not_the_smallest():
    assert outputs("smallest", {"points": [CLICK]}, areas=(5, 9, 0, 7)) == [3]
    assert outputs("smallest", {"points": [CLICK]}, areas=(5, 0, 0, 0)) == [3]


def test_what_lies_in_the_padding_does_not_count():
    answers = decoded(areas=(1, 6, 4, 5))
    answers.logits[0, 2, 12:] = 5.0  # below the 48 rows of the image
    (mask,) = chosen_masks(answers, parse_prompt({"points": [CLICK]}), "largest", SIZE, SIDE)
    assert mask.output == 1


def test_stability_is_that_of_the_package():
    torch.manual_seed(0)
    answers = Decoded(3 * torch.randn(2, 4, 16, 16), torch.rand(2, 4))
    prompts = parse_prompt({"objects": [{"box": BOX}, {"points": [CLICK]}]})
    masks = chosen_masks(answers, prompts, "auto", SIZE, SIDE)
    for index, mask in enumerate(masks):
        logits = enlarge(answers.logits[index, mask.output : mask.output + 1], SIZE, SIZE, SIDE)
        assert mask.stability == pytest.approx(calculate_stability_score(logits, 0.0, 1.0).item())
        assert mask.score == pytest.approx(answers.scores[index, mask.output].item())
        np.testing.assert_array_equal(whole(mask.pixels, mask.offset, SIZE), logits[0].numpy() > 0)


def test_nothing_at_all_has_no_stability():
    (mask,) = chosen_masks(decoded(areas=(0, 0, 0, 0)), parse_prompt({"box": BOX}), "auto", SIZE, SIDE)
    assert mask.stability is None
    assert not mask.pixels.any()


def test_a_mask_is_no_larger_than_its_object():
    answers = Decoded(torch.full((1, 4, 16, 16), -5.0), torch.rand(1, 4))
    answers.logits[..., 3:6, 8:10] = 5.0
    (mask,) = chosen_masks(answers, parse_prompt({"box": BOX}), "auto", SIZE, SIDE)
    inside = enlarge(answers.logits[0, :1], SIZE, SIZE, SIDE)[0].numpy() > 0
    rows, columns = np.nonzero(inside)
    assert mask.offset == (columns.min(), rows.min())
    np.testing.assert_array_equal(mask.pixels, inside[np.ix_(np.unique(rows), np.unique(columns))])
    assert mask.pixels.base is None  # not a view, which would keep all of the image


def test_many_large_masks_are_enlarged_a_few_at_a_time(monkeypatch):
    torch.manual_seed(0)
    answers = Decoded(torch.randn(5, 4, 16, 16), torch.rand(5, 4))
    prompts = parse_prompt({"objects": [{"box": BOX}] * 5})
    whole = chosen_masks(answers, prompts, "single", SIZE, SIDE)
    monkeypatch.setattr("maskworks_sam.masks._UPSCALED_BYTES", 1)
    for a, b in zip(whole, chosen_masks(answers, prompts, "single", SIZE, SIDE), strict=True):
        np.testing.assert_array_equal(a.pixels, b.pixels)
