"""Masks: pasted into their boxes, of every nth row and column, of probabilities."""

import numpy as np
import pytest
import torch

from maskworks.geometry import compose, fill, trace
from maskworks.types import Instance
from tests.support.mmdet_school import NEEDS_MMDET

pytestmark = NEEDS_MMDET

SHAPE = (60, 90)


def disc(x, y, radius):
    rows, columns = np.indices(SHAPE)
    return ((rows - y) ** 2 + (columns - x) ** 2 <= radius**2).astype(np.uint8)


def whole(part, offset):
    return compose([Instance(part, offset)], SHAPE)


@pytest.mark.parametrize("threshold", [0.5, 0.2, -1])
@pytest.mark.parametrize("agnostic", [True, False])
@pytest.mark.parametrize("rescale", [True, False])
def test_pasting_gives_the_pixels_of_mmdetection(mmdet, threshold, agnostic, rescale):
    from mmdet.models.roi_heads.mask_heads import FCNMaskHead
    from mmengine.config import ConfigDict

    from maskworks_mmdet.masks import paste_into_boxes

    torch.manual_seed(0)
    head = FCNMaskHead(num_convs=0, num_classes=3, class_agnostic=agnostic)
    boxes = torch.tensor(
        [[5.3, 7.1, 40.9, 33.3], [-3.0, -4.5, 20, 12], [70, 40, 130, 80], [9, 9, 9, 9], [0, 0, 90, 60]]
    )
    labels, scores = torch.tensor([0, 1, 2, 0, 1]), torch.randn(5, 1 if agnostic else 3, 28, 28)
    meta = {"scale_factor": (1.5, 1.25), "ori_shape": SHAPE}
    arguments = {"img_meta": meta, "rcnn_test_cfg": ConfigDict(mask_thr_binary=threshold), "rescale": rescale}
    theirs = head._predict_by_feat_single(scores, boxes.clone(), labels, **arguments).numpy()
    paste_into_boxes(torch.nn.Sequential(head))
    ours = head._predict_by_feat_single(scores, changed := boxes.clone(), labels, **arguments)
    assert len(ours) == 5
    for window, mask in zip(ours, theirs, strict=True):
        part, (x, y) = window.paste()
        pasted = np.zeros_like(mask)
        pasted[y : y + part.shape[0], x : x + part.shape[1]] = part
        assert part.dtype == mask.dtype
        assert np.abs(pasted.astype(int) - mask).max() <= (threshold < 0)  # probabilities: one step of 1/255
    assert torch.allclose(changed, boxes / torch.tensor([1.5, 1.25, 1.5, 1.25]) if rescale else boxes)


def test_whole_images_are_cut_down(mmdet):
    from maskworks_mmdet.masks import binary_parts

    masks = np.stack([disc(30, 20, 9), np.zeros(SHAPE, np.uint8), disc(80, 50, 20)]).astype(bool)
    for given in (masks, torch.from_numpy(masks)):
        parts = list(binary_parts(given, 0.1))
        assert [part.shape for part, _ in parts] == [(19, 19), (0, 0), (30, 30)]
        assert all((whole(*part) == mask).all() for part, mask in zip(parts, masks, strict=True))


def test_probabilities_and_their_threshold(mmdet):
    from maskworks_mmdet.masks import binary_parts

    soft = np.array([[[0, 25, 26, 127, 128, 255]]], np.uint8)
    for threshold, expected in ((0.1, 2), (0.5, 4), (1.0, 5)):
        ((part, (x, _)),) = binary_parts(soft, threshold)
        assert (x, part.shape[1]) == (expected, 6 - expected)


@pytest.mark.parametrize("step", [1, 2, 3, 7])
@pytest.mark.parametrize("offset", [(0, 0), (4, 9)])
def test_every_nth_row_and_column(mmdet, step, offset):
    """Corners are on every nth row and column of the image, and there the mask is the same."""
    from maskworks_mmdet.masks import every_nth

    mask = disc(44, 34, 22) - disc(45, 32, 10)
    x, y = offset
    thin, corner = every_nth(np.ascontiguousarray(mask[y:, x:]), offset, step)
    result = whole(thin, corner)
    assert (result[::step, ::step] == mask[::step, ::step]).all()
    regions = trace(thin, corner)
    assert all((ring % step == 0).all() for region in regions for ring in (region.outer, *region.holes))
    assert (fill(regions, SHAPE) == result).all()
    assert len(regions[0].holes) == 1


def test_every_nth_may_leave_nothing(mmdet):
    from maskworks_mmdet.masks import every_nth

    thin, _ = every_nth(np.ones((2, 2), np.uint8), (1, 1), 10)
    assert not thin.any()
