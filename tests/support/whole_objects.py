"""Programs of a model and of prompts for objects as large as the image, for `peak_megabytes`."""

from __future__ import annotations

WHOLE = """
import json
import numpy as np
from maskworks.config import InputConfig
from maskworks.formats import MaskFiles
from maskworks.pipeline import Pipeline
from maskworks.types import Instance, Instances, Job
from maskworks.wire.prompt import parse_prompt
from maskworks.types import Request

def image(height, width):
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[height // 4 : height // 2, width // 4 :] = 200
    return pixels

def objects(height, width, count):
    corners = [[0, 5], [5, 0], [width - 1, 5], [5, height - 1]]
    return {"objects": [{"points": corners}] * count}
"""
SAM = (
    WHOLE
    + """
from tests.support.sam_models import adapter
sam = adapter(automatic=AUTOMATIC, points_per_side=4, pred_iou_thresh=0.0, stability_score_thresh=0.0)
sam.predict([Request("warm", image(30, 40), parse_prompt(objects(30, 40, 1)))])
"""
)
DEXTR = (
    WHOLE
    + """
from maskworks_dextr.adapter import DextrPredictor
from maskworks_dextr.options import DextrConfig
dextr = DextrPredictor.load(DextrConfig(model="demo", device="cpu", precision="fp32", threshold=0.01))
dextr.predict([Request("warm", image(30, 40), parse_prompt(objects(30, 40, 1)))])
"""
)
