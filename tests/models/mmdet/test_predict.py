"""Predictions: those of MMDetection itself, whatever the model, the colours and the batch."""

import warnings
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from maskworks.errors import CheckpointError, ConfigError, Internal, OutOfMemory
from maskworks.geometry import compose
from maskworks_mmdet.sample_data import NAMES, SIZE, picture
from tests.support.iou import iou
from tests.support.mmdet_predictor import load, requests, saved
from tests.support.mmdet_school import HELD_OUT, NEEDS_MMDET

pytestmark = [NEEDS_MMDET, pytest.mark.slow("trains a detector, once")]


def held_out():
    return [picture(seed)[0] for seed in HELD_OUT]


def whole(instance, size=SIZE):
    return compose([replace(instance, label=1)], size)


def peer(checkpoint, config, image, folder):
    """What `inference_detector` finds in the image as a file."""
    from mmdet.apis import inference_detector, init_detector

    model = init_detector(str(config), str(checkpoint), palette="random", device="cpu")
    cv2.imwrite(str(folder / "image.png"), image[:, :, ::-1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return inference_detector(model, str(folder / "image.png")).pred_instances


def assert_same(instances, theirs, size=SIZE):
    assert len(instances) == len(theirs.scores)
    assert np.allclose([i.score for i in instances], theirs.scores, atol=1e-4)
    assert np.allclose([i.box for i in instances], theirs.bboxes, atol=1e-4)
    assert [i.meta["class"] for i in instances] == theirs.labels.tolist()
    if "masks" in theirs:
        assert all((whole(i, size) == m).all() for i, m in zip(instances, theirs.masks.numpy(), strict=True))


@pytest.fixture
def predictor(trained, mmdet):
    return load(trained.checkpoint, trained.config)


def test_held_out_objects_are_found(predictor):
    for seed, found in zip(HELD_OUT, predictor.predict(requests(*held_out())), strict=True):
        best = [instance for instance in found if instance.score > 0.5]
        for kind, mask in picture(seed)[1]:
            assert max(iou(mask, whole(i)) for i in best if i.name == NAMES[kind]) > 0.7


def test_the_results_of_mmdetection(trained, predictor, tmp_path):
    for image in held_out()[:2]:
        (found,) = predictor.predict(requests(image))
        assert_same(found, peer(trained.checkpoint, trained.config, image, tmp_path))
        assert found


def test_batches_change_nothing(predictor):
    """Also not for images of another size among them."""
    images = [*held_out()[:3], held_out()[3][:100, :90], held_out()[4][:100, :90]]
    together = predictor.predict(requests(*images))
    for image, found in zip(images, together, strict=True):
        (alone,) = predictor.predict(requests(image))
        assert len(found) == len(alone)
        assert np.allclose([i.score for i in found], [i.score for i in alone], atol=1e-4)
        assert np.allclose([i.box for i in found], [i.box for i in alone], atol=1e-3)
        for a, b in zip(found, alone, strict=True):
            assert iou(whole(a, image.shape[:2]), whole(b, image.shape[:2])) > 0.999


@pytest.mark.parametrize("wants_rgb", [True, False])
def test_the_model_gets_the_channels_that_it_expects(mmdet, tmp_path, wants_rgb):
    """A pure red image, and the order of its channels where the backbone gets it."""
    checkpoint, config = saved(tmp_path, change=lambda c: c.model.data_preprocessor.update(bgr_to_rgb=wants_rgb))
    predictor, seen = load(checkpoint, config, score=1.0), []
    predictor._detector.model.backbone.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    red = np.zeros((*SIZE, 3), np.uint8)
    red[:, :, 0] = 255
    predictor.predict(requests(red))
    assert seen[0][0].mean(dim=(1, 2)).argmax() == (0 if wants_rgb else 2)
    assert_same(load(checkpoint, config).predict(requests(red))[0], peer(checkpoint, config, red, tmp_path))


def test_scores_names_and_nothing_found(trained, predictor, monkeypatch):
    image = held_out()[0]
    (found,) = predictor.predict(requests(image))
    assert {i.name for i in found} <= set(NAMES)
    assert all(i.label == NAMES.index(i.name) + 1 for i in found)
    assert found.best_first
    assert [i.score for i in found] == sorted((i.score for i in found), reverse=True)
    (strict,) = load(trained.checkpoint, trained.config, score=0.5).predict(requests(image))
    assert [i.score for i in strict] == [i.score for i in found if i.score >= 0.5]
    assert load(trained.checkpoint, trained.config, score=1.0).predict(requests(image)) == [[]]
    monkeypatch.setenv("MMDET_CLASSES", "'red','blue'")
    (renamed,) = load(trained.checkpoint, trained.config).predict(requests(image))
    assert {i.name for i in renamed} <= {"red", "blue"}
    monkeypatch.setenv("MMDET_CLASSES", "red")
    with pytest.raises(ConfigError, match="1 class names"):
        load(trained.checkpoint, trained.config)


def test_every_nth_row_and_column(trained):
    (thin,) = load(trained.checkpoint, trained.config, mask_nth=4, score=0.5).predict(requests(held_out()[0]))
    (full,) = load(trained.checkpoint, trained.config, score=0.5).predict(requests(held_out()[0]))
    assert all((whole(a)[::4, ::4] == whole(b)[::4, ::4]).all() for a, b in zip(thin, full, strict=True))


def test_probabilities_with_a_threshold(trained, tmp_path):
    """With mask_thr_binary below 0 the model gives probabilities, and --mask_threshold counts."""
    soft = tmp_path / "soft.py"
    soft.write_text(trained.config.read_text().replace("mask_thr_binary=0.5", "mask_thr_binary=-1"))
    image = held_out()[0]
    (hard,) = load(trained.checkpoint, trained.config, score=0.5).predict(requests(image))
    (half,) = load(trained.checkpoint, soft, score=0.5, mask_threshold=0.5).predict(requests(image))
    (wide,) = load(trained.checkpoint, soft, score=0.5).predict(requests(image))
    assert all(iou(whole(a), whole(b)) > 0.98 for a, b in zip(hard, half, strict=True))
    assert all(whole(a).sum() > whole(b).sum() for a, b in zip(wide, half, strict=True))


def without_masks(config):
    for key in ("mask_head", "mask_roi_extractor"):
        del config.model.roi_head[key]
    config.model.type = "FasterRCNN"
    config.model.test_cfg.rcnn.score_thr = 0.0


def test_boxes_only(mmdet, tmp_path):
    checkpoint, config = saved(tmp_path, change=without_masks)
    (found,) = load(checkpoint, config).predict(requests(held_out()[0]))
    assert len(found) > 10
    assert all(i.mask is None and i.box is not None for i in found)
    assert_same(found, peer(checkpoint, config, held_out()[0], tmp_path))


def small_rtmdet(config):
    config.model.test_cfg.score_thr = 0.0
    config.model.test_cfg.max_per_img = 5
    for step in config.test_pipeline:
        if "scale" in step:
            step.scale = (160, 160)
        if "size" in step:
            step["size"] = (160, 160)
    config.test_dataloader.dataset.pipeline = config.test_pipeline


def test_a_head_that_makes_masks_of_the_whole_image(mmdet, tmp_path):
    checkpoint, config = saved(tmp_path, "rtmdet/rtmdet-ins_tiny_8xb32-300e_coco.py", small_rtmdet)
    image = held_out()[0][:, :100]
    (found,) = load(checkpoint, config).predict(requests(image))
    assert found
    assert_same(found, peer(checkpoint, config, image, tmp_path), image.shape[:2])


def test_an_operator_that_the_cpu_lacks_is_named(mmdet, tmp_path):
    checkpoint, config = saved(tmp_path, change=lambda c: c.model.neck.update(type="FPN_CARAFE"))
    with pytest.raises(Internal, match="operator carafe_forward of mmcv does not run on cpu"):
        load(checkpoint, config).predict(requests(held_out()[0]))


def test_a_checkpoint_for_another_config(trained, tmp_path):
    _, other = saved(tmp_path, change=lambda c: c.model.roi_head.bbox_head.update(num_classes=3))
    with pytest.raises(CheckpointError, match="does not fit --config: size mismatch for roi_head"):
        load(trained.checkpoint, other)


def without_test_data(config):
    config.pop("test_dataloader")


def test_a_config_without_a_test_pipeline(mmdet, tmp_path):
    checkpoint, config = saved(tmp_path, change=without_test_data)
    with pytest.raises(CheckpointError, match=r"--config .*config\.py: .* no attribute 'test_dataloader'"):
        load(checkpoint, config)


@pytest.mark.parametrize("text", ["model = dict(type='NoSuchModel')", "model = dict(", "x = 1", "1 / 0"])
def test_configs_that_cannot_be_used(mmdet, tmp_path, text):
    (tmp_path / "config.py").write_text(text)
    with pytest.raises(CheckpointError, match=r"--config .*config\.py: "):
        load(tmp_path / "config.py", tmp_path / "config.py")


def test_out_of_memory_is_reported_as_such(predictor, monkeypatch):
    monkeypatch.setattr(predictor._detector.model, "test_step", lambda data: torch.empty(2**50))
    with pytest.raises(OutOfMemory):
        predictor.predict(requests(held_out()[0]))


def test_lower_precision_finds_the_same(trained, predictor):
    (fast,) = load(trained.checkpoint, trained.config, precision="bf16", score=0.5).predict(requests(held_out()[0]))
    best = [i for i in predictor.predict(requests(held_out()[0]))[0] if i.score >= 0.5]
    assert [i.name for i in fast] == [i.name for i in best]
    assert all(iou(whole(a), whole(b)) > 0.9 for a, b in zip(fast, best, strict=True))
