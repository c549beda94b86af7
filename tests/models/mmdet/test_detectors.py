"""Detectors that differ from a Mask R-CNN in what they load, name or find."""

import json
import os

import pytest
import torch

from maskworks.pipeline import Pipeline
from maskworks_mmdet import results
from maskworks_mmdet.options import MmdetConfig
from maskworks_mmdet.sample_data import NAMES, picture
from tests.support.jobs import Steps, a_job
from tests.support.mmdet_predictor import load, requests, saved
from tests.support.mmdet_school import NEEDS_MMDET

pytestmark = [NEEDS_MMDET, pytest.mark.slow("builds detectors")]


def small(config):
    """With a small backbone, for small images."""
    config.model.backbone.depth = 18
    config.model.backbone.init_cfg = None
    neck = config.model.get("neck") or config.model.panoptic_head
    neck.in_channels = [64, 128, 256, 512]
    for step in config.test_dataloader.dataset.pipeline:
        if "scale" in step:
            step.scale = (128, 128)


def saved_solo(folder):
    """SOLO gives four zeros for each box."""

    def change(config):
        small(config)
        config.model.mask_head.update(num_classes=len(NAMES), num_grids=[8, 6, 4, 3, 2])
        config.model.test_cfg.update(score_thr=0.0, filter_thr=0.0, nms_pre=10, max_per_img=5)

    return saved(folder, "solov2/solov2-light_r18_fpn_ms-3x_coco.py", change, {"classes": NAMES})


def test_masks_without_boxes(mmdet, tmp_path):
    """What is written is the box around the polygon."""
    checkpoint, config = saved_solo(tmp_path)
    (request,) = requests(picture(24)[0])
    predictor = load(checkpoint, config)
    (found,) = predictor.predict([request])
    assert found
    assert all(i.box is None and i.meta["box"] is None and i.mask.any() for i in found)
    flags = MmdetConfig(checkpoint=checkpoint, config=config)
    steps = Steps(reader=lambda job, _: request, writer=lambda p: {"reply": results.opex(p, flags)})
    (outcome,) = Pipeline(predictor=predictor).run([a_job("a", format=steps)])
    for written in json.loads(outcome.parts["reply"])["objects"]:
        x, y = zip(*written["polygon"]["points"], strict=True)
        box = {"left": min(x), "top": min(y), "right": max(x), "bottom": max(y)}
        assert written["bbox"] == box


def test_masks_without_pixels_are_no_objects(mmdet, tmp_path):
    checkpoint, config = saved_solo(tmp_path)
    predictor = load(checkpoint, config)
    step = predictor._detector.model.test_step

    def empty_first(data):
        (sample,) = step(data)
        sample.pred_instances.masks[0] = False
        return [sample]

    (before,) = predictor.predict(requests(picture(24)[0]))
    predictor._detector.model.test_step = empty_first
    (after,) = predictor.predict(requests(picture(24)[0]))
    assert [i.score for i in after] == [i.score for i in before][1:]


def test_the_things_of_a_panoptic_model(mmdet, tmp_path):
    """Its checkpoint names things and stuff, its test pipeline reads annotations; its objects are in no order."""
    from mmdet.datasets import CocoPanopticDataset

    meta = CocoPanopticDataset.METAINFO
    name = "mask2former/mask2former_r50_8xb2-lsj-50e_coco-panoptic.py"
    predictor = load(*saved(tmp_path, name, small, meta))
    assert predictor._detector.classes == tuple(meta["thing_classes"])
    (found,) = predictor.predict(requests(picture(24)[0]))
    scores = [instance.score for instance in found]
    assert len(set(scores)) > 2
    assert scores == sorted(scores, reverse=True)


class Evil:
    def __reduce__(self):
        return os.mkdir, (str(Evil.target),)


@pytest.fixture
def distilled(mmdet, tmp_path):
    """Checkpoint and config of a model that loads `teacher.pth` as it is built; it is written, it runs code."""
    from maskworks_mmdet.configs import stock_configs

    teacher = tmp_path / "teacher.pth"

    def with_teacher(config):
        config.model.update(teacher_config=str(stock_configs()["gfl/gfl_r50_fpn_1x_coco.py"]), teacher_ckpt=None)
        config.model.backbone.init_cfg = None

    checkpoint, config = saved(tmp_path, "ld/ld_r18-gflv1-r101_fpn_1x_coco.py", with_teacher)
    config.write_text(config.read_text().replace("teacher_ckpt=None", f"teacher_ckpt={str(teacher)!r}"))
    Evil.target = tmp_path / "ran"
    torch.save({"state_dict": {}, "evil": Evil()}, teacher)
    return checkpoint, config


def test_a_teacher_is_for_training_alone(distilled, tmp_path):
    """So a student needs none for predictions, whatever is in its teacher's file."""
    assert load(*distilled, unsafe_load=True).predict(requests(picture(24)[0][:64, :64]))
    assert not Evil.target.exists()
    (tmp_path / "teacher.pth").unlink()
    assert load(*distilled).predict(requests(picture(24)[0][:64, :64]))
