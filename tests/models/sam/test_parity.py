"""Our answers are those of the package's `SamPredictor` with the same weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from segment_anything import SamAutomaticMaskGenerator, SamPredictor, sam_model_registry
from segment_anything.utils.transforms import ResizeLongestSide

from maskworks_sam.attention import blockwise_attention, fused_attention, relative_table
from maskworks_sam.encoder import ImageEncoder
from maskworks_sam.preprocessing import network_input
from maskworks_sam.two_way import TwoWay
from tests.support.sam_models import adapter, photo, random_sam, real_objects, request_for, stir, whole

CLICK = {"x": 210, "y": 160, "label": 1}
BACKGROUND = {"x": 20, "y": 30.5, "label": 0}
BOX = {"x0": 70.25, "y0": 20, "x1": 480, "y1": 390}
CORNERS = np.array([70.25, 20, 480, 390])
PROMPTS = {
    "a click": ({"points": [CLICK]}, {"point_coords": [[210, 160]], "point_labels": [1]}),
    "clicks": (
        {"points": [CLICK, BACKGROUND]},
        {"point_coords": [[210, 160], [20, 30.5]], "point_labels": [1, 0], "multimask_output": False},
    ),
    "a box": ({"box": BOX}, {"box": CORNERS, "multimask_output": False}),
    "extreme points": (
        {"points": [[70.25, 200], [300, 20], [480, 100], [250, 390]]},
        {"box": CORNERS, "multimask_output": False},
    ),
    "both": (
        {"points": [CLICK, BACKGROUND], "box": BOX},
        {"point_coords": [[210, 160], [20, 30.5]], "point_labels": [1, 0], "box": CORNERS, "multimask_output": False},
    ),
}


def package_answer(predictor, arguments):
    """Logits (H, W) and score of the mask that answers a prompt."""
    values = {key: np.array(value) if isinstance(value, list) else value for key, value in arguments.items()}
    logits, scores, _ = predictor.predict(**values, return_logits=True)
    return logits[scores.argmax()], scores.max()


def assert_same(instance, logits, score):
    """The same mask, apart from pixels whose logit is within 1e-3 of 0."""
    differs = whole(instance.mask, instance.offset, logits.shape) != (logits > 0)
    assert not (differs & (np.abs(logits) > 1e-3)).any()
    assert instance.score == pytest.approx(score, abs=1e-3)


@pytest.mark.parametrize("kind", PROMPTS)
@pytest.mark.parametrize("name", ["coffee", "officer"])
def test_every_prompt_gives_the_mask_of_the_package(small_sam, sam, kind, name):
    ours, theirs = PROMPTS[kind]
    predictor = SamPredictor(small_sam)
    predictor.set_image(photo(name))
    (found,) = sam.predict([request_for(photo(name), **ours)])
    assert_same(found[0], *package_answer(predictor, theirs))


def test_several_objects_in_one_request(small_sam, sam):
    predictor = SamPredictor(small_sam)
    predictor.set_image(photo())
    (found,) = sam.predict([request_for(photo(), objects=[ours for ours, _ in PROMPTS.values()])])
    assert [instance.label for instance in found] == [1, 2, 3, 4, 5]
    for instance, (_, theirs) in zip(found, PROMPTS.values(), strict=True):
        assert_same(instance, *package_answer(predictor, theirs))


def test_logits_of_an_answer_lead_to_the_next(small_sam, sam):
    predictor = SamPredictor(small_sam)
    predictor.set_image(photo())
    (first,) = sam.predict([request_for(photo(), box=BOX, low_res_logits=True)])
    _, _, low = predictor.predict(box=CORNERS, multimask_output=False)
    (second,) = sam.predict([request_for(photo(), points=[CLICK], mask_input=first[0].meta["low_res_logits"])])
    theirs = {"point_coords": [[210, 160]], "point_labels": [1], "mask_input": low, "multimask_output": False}
    assert_same(second[0], *package_answer(predictor, theirs))
    (third,) = sam.predict([request_for(photo(), mask_input=first[0].meta["low_res_logits"])])
    assert_same(third[0], *package_answer(predictor, {"mask_input": low, "multimask_output": False}))


@pytest.mark.parametrize("shape", [{}, {"window_size": 0, "global_blocks": ()}, {"window_size": 5, "heads": 4}])
def test_encoders_of_all_shapes(shape):
    sam = random_sam(**shape)
    images = torch.randn(3, 3, 128, 128)
    with torch.no_grad():
        expected = sam.image_encoder(images)
    found = ImageEncoder(sam.image_encoder, "cpu", torch.float32)(images)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


def test_the_transformer_of_the_decoder():
    torch.manual_seed(0)
    package = random_sam().mask_decoder.transformer
    for name, value in package.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(value, std=0.3)
    image, places, tokens = torch.randn(2, 64, 6, 5), torch.randn(2, 64, 6, 5), torch.randn(2, 9, 64)
    for found, expected in zip(TwoWay(package)(image, places, tokens), package(image, places, tokens), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


@pytest.mark.heavy("computes with a network of 90 million weights for a minute")
def test_vit_b():
    torch.manual_seed(0)
    sam = sam_model_registry["vit_b"]()
    stir(sam)
    image = network_input(photo(), 1024)[None]
    with torch.no_grad():
        expected = sam.image_encoder(image)
    found = ImageEncoder(sam.image_encoder, "cpu", torch.float32)(image)
    torch.testing.assert_close(found, expected, rtol=0, atol=5e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_both_ways_of_attention_agree_with_the_formula(dtype):
    torch.manual_seed(0)
    rows, columns, size = 5, 7, 16
    q, k, v = torch.randn(3, 6, rows * columns, size).to(dtype)
    rel_h, rel_w = (relative_table(torch.randn(2 * side - 1, size), side) for side in (rows, columns))
    grid = q.float().view(6, rows, columns, size)
    bias = (
        torch.einsum("bhwc,hkc->bhwk", grid, rel_h)[..., None]
        + torch.einsum("bhwc,wkc->bhwk", grid, rel_w)[..., None, :]
    )
    scores = size**-0.5 * q.float() @ k.float().mT + bias.reshape(6, rows * columns, rows * columns)
    expected = scores.softmax(-1) @ v.float()
    tolerance = 2e-5 if dtype == torch.float32 else 4e-2
    torch.testing.assert_close(blockwise_attention(q, k, v, rel_h, rel_w).float(), expected, rtol=0, atol=tolerance)
    fused = fused_attention(q, k, v, rel_h.to(dtype), rel_w.to(dtype))
    torch.testing.assert_close(fused.float(), expected, rtol=0, atol=2 * tolerance)


def test_blocks_cover_all_heads_and_queries(monkeypatch):
    q, k, v = torch.randn(3, 5, 36, 8)
    rel = relative_table(torch.randn(11, 8), 6)
    whole = blockwise_attention(q, k, v, rel, rel)
    for size in (64, 4 * 36 * 7, 4 * 36 * 100):
        monkeypatch.setattr("maskworks_sam.attention._BLOCK_BYTES", size)
        torch.testing.assert_close(blockwise_attention(q, k, v, rel, rel), whole)


@pytest.mark.parametrize("size", [(300, 451), (128, 128), (64, 40), (17, 1), (2000, 30), (127, 129)])
def test_the_input_is_that_of_the_package(size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    sam = random_sam()
    resized = torch.from_numpy(ResizeLongestSide(128).apply_image(image)).permute(2, 0, 1)
    torch.testing.assert_close(network_input(image, 128), sam.preprocess(resized), rtol=0, atol=0)


def test_an_image_too_thin_for_the_package(sam):
    (found,) = sam.predict([request_for(np.zeros((1, 3000, 3), np.uint8), box={"x0": 1, "y0": 0, "x1": 9, "y1": 1})])
    height, width = found[0].mask.shape
    assert (height, found[0].offset[1]) == (1, 0)
    assert found[0].offset[0] + width <= 3000


def test_a_batch_gives_what_single_images_give():
    requests = [request_for(photo(name), box=BOX) for name in ("coffee", "cat", "coins")]
    together = adapter(embedding_cache_mb=0).predict(requests)
    for request, found in zip(requests, together, strict=True):
        (alone,) = adapter(embedding_cache_mb=0).predict([request])
        one, other = (whole(each[0].mask, each[0].offset, request.size) for each in (alone, found))
        assert (one != other).sum() <= 2


@pytest.mark.slow("computes with a network")
def test_bfloat16_gives_the_same_masks():
    fp32, bf16 = adapter(), adapter(precision="bf16")
    ratios = []
    for name, (x0, y0, x1, y1), (x, y) in real_objects():
        box = {"x0": x0, "y0": y0, "x1": x1, "y1": y1}
        request = request_for(
            photo(name), objects=[{"box": box}, {"points": [{"x": x, "y": y, "label": 1}], "box": box}]
        )
        (expected,), (found,) = fp32.predict([request]), bf16.predict([request])
        for pair in zip(expected, found, strict=True):
            a, b = (whole(each.mask, each.offset, request.size) for each in pair)
            assert 0 < a.mean() < 1
            ratios.append((a & b).sum() / (a | b).sum())
    assert len(ratios) >= 50
    assert np.mean(ratios) >= 0.99


@pytest.mark.slow("computes with a network")
@pytest.mark.parametrize(("score", "stability"), [(0.5, 0.5), (0.0, 0.0)])
def test_everything_is_what_the_package_finds(small_sam, score, stability):
    settings = {"points_per_side": 5, "pred_iou_thresh": score, "stability_score_thresh": stability}
    theirs = SamAutomaticMaskGenerator(small_sam, **settings).generate(photo("coins"))
    theirs.sort(key=lambda entry: -entry["area"])
    (found,) = adapter(automatic=True, **settings).predict([request_for(photo("coins"))])
    assert len(found) == len(theirs) >= 3
    for instance, entry in zip(found, theirs, strict=True):
        assert instance.meta["point"] == entry["point_coords"][0]
        assert instance.score == pytest.approx(entry["predicted_iou"], abs=1e-3)
        stability = instance.meta["stability"]
        assert (
            math.isnan(entry["stability_score"])
            if stability is None
            else (stability == pytest.approx(entry["stability_score"], abs=1e-3))
        )
        differs = whole(instance.pixels(), instance.offset, photo("coins").shape[:2]) != entry["segmentation"]
        assert differs.sum() <= 2
