"""Each model's masks are made one at a time, however many objects as large as the image there are."""

from __future__ import annotations

import pytest

from tests.support.mmdet_school import NEEDS_MMDET
from tests.support.process_memory import peak_megabytes
from tests.support.whole_objects import DEXTR, SAM

TENSORMASK = """
import numpy as np
import torch
from maskworks.types import Request
from maskworks_tensormask.adapter import TensorMaskPredictor
from tensormask.model import Result
from tensormask.paste import Window

class Model:
    def predict(self, images, **_):
        window = Window(torch.ones(15, 15), (0.0, 0.0, 4000.0, 3000.0), (3000, 4000))
        boxes = np.tile(np.float32([0, 0, 4000, 3000]), (50, 1))
        return [Result((3000, 4000), boxes, np.ones(50, np.float32), np.zeros(50, np.int64), (window,) * 50)]

predictor = TensorMaskPredictor(Model(), {}, ["thing"], 0.5, 1)

def work():
    (found,) = predictor.predict([Request("a", np.zeros((1, 1, 3), np.uint8))])
    assert len(found) == 50 and found[49].pixels().any()
"""
MMDET = """
import numpy as np
import torch
from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from mmengine.config import ConfigDict
from maskworks.types import Instance, Instances
from maskworks_mmdet.masks import binary_parts, paste_into_boxes

head = FCNMaskHead(num_convs=0, num_classes=1)
paste_into_boxes(torch.nn.Sequential(head))

def work():
    boxes = torch.tensor([[0.0, 0.0, 4000.0, 3000.0]] * 50)
    masks = head._predict_by_feat_single(
        torch.ones(50, 1, 28, 28), boxes, torch.zeros(50, dtype=torch.int64),
        img_meta={"scale_factor": (1.0, 1.0), "ori_shape": (3000, 4000)},
        rcnn_test_cfg=ConfigDict(mask_thr_binary=0.5), rescale=True,
    )
    found = Instances(Instance(*part) for part in binary_parts(masks, 0.5))
    assert len(found) == 50 and found[49].pixels().any()
"""


def predicting(model, height, width, count):
    return f"""
def work():
    request = Request("a", image({height}, {width}), parse_prompt(objects({height}, {width}, {count})))
    (found,) = {model}.predict([request])
    assert not isinstance(found, Exception) and found
"""


@pytest.mark.slow("makes fifty masks of twelve megapixels")
@pytest.mark.parametrize("automatic", [False, True], ids=["prompts", "automatic"])
def test_sam(automatic):
    """The masks alone have 480 MB or more."""
    code = SAM.replace("AUTOMATIC", str(automatic)) + predicting("sam", 3000, 4000, 40)
    assert peak_megabytes(code) < 300


@pytest.mark.slow("makes fifteen masks of twelve megapixels")
def test_dextr():
    """The masks alone have 180 MB twice: as probabilities and as pixels."""
    assert peak_megabytes(DEXTR + predicting("dextr", 3000, 4000, 15)) < 250


@pytest.mark.slow("makes fifty masks of twelve megapixels")
def test_tensormask():
    """The masks alone have 600 MB."""
    assert peak_megabytes(TENSORMASK) < 250


@NEEDS_MMDET
@pytest.mark.slow("makes fifty masks of twelve megapixels")
def test_mmdetection():
    """The masks alone have 600 MB."""
    assert peak_megabytes(MMDET) < 250
