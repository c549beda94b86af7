"""Models that find any number of objects number them on beyond what a palette image can tell apart."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from maskworks.types import Request
from maskworks_mmdet.installation import import_mmdet
from maskworks_sam import automatic
from maskworks_tensormask.adapter import TensorMaskPredictor
from tensormask.model import Result
from tests.support.mmdet_school import NEEDS_MMDET
from tests.support.sam_models import adapter, photo, request_for

COUNT = 300
REQUEST = Request("crowd", np.zeros((8, 8, 3), np.uint8))


def test_tensormask():
    boxes = np.tile(np.float32([0, 0, 8, 8]), (COUNT, 1))
    result = Result((8, 8), boxes, np.ones(COUNT, np.float32), np.zeros(COUNT, np.int64), ())
    model = SimpleNamespace(predict=lambda images, **_: [result])
    (found,) = TensorMaskPredictor(model, {}, ["thing"], 0.5, 1).predict([REQUEST])
    assert [one.label for one in found] == list(range(1, COUNT + 1))
    assert found[COUNT - 1].palette_index == COUNT - 255


@pytest.mark.slow("computes with a network")
def test_everything_in_an_image(monkeypatch):
    monkeypatch.setattr(automatic, "_different", lambda found: found)
    sam = adapter(automatic=True, points_per_side=10, pred_iou_thresh=0.0, stability_score_thresh=0.0)
    (found,) = sam.predict([request_for(photo("coins"))])
    assert [one.label for one in found] == list(range(1, COUNT + 1))


@NEEDS_MMDET
@pytest.mark.slow("imports MMDetection")
def test_classes_of_mmdetection():
    import_mmdet()
    from maskworks_mmdet.adapter import MmdetPredictor
    from maskworks_mmdet.detector import Detector
    from maskworks_mmdet.options import MmdetConfig

    found = {
        "bboxes": torch.tensor([[0.0, 0.0, 4.0, 4.0]] * 2),
        "labels": torch.tensor([2, 299]),
        "scores": torch.tensor([0.9, 0.8]),
    }
    instances = type("Found", (SimpleNamespace,), {"__contains__": lambda self, name: name in found})(**found)
    sample = type("Sample", (dict,), {"ori_shape": (8, 8)})(pred_instances=instances)
    model = SimpleNamespace(test_step=lambda data: [sample])
    prepared = {"inputs": torch.zeros(3, 8, 8), "data_samples": None}
    detector = Detector(model, lambda image: prepared, tuple(map(str, range(COUNT))))
    (objects,) = MmdetPredictor(detector, MmdetConfig(checkpoint=Path("c.pth"), config=Path("c.py"))).predict([REQUEST])
    assert [(one.label, one.name) for one in objects] == [(3, "2"), (300, "299")]
