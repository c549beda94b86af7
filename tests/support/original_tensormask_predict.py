"""Run by the Python that has the original: CONFIG WEIGHTS IMAGE ANSWER. Saves what detectron2's predictor finds."""

import sys

import cv2
import numpy as np
from detectron2.config import get_cfg
from detectron2.engine import DefaultPredictor

from tensormask import add_tensormask_config

config_file, weights, image, answer = sys.argv[1:]
config = get_cfg()
add_tensormask_config(config)
config.merge_from_file(config_file)
config.MODEL.WEIGHTS = weights
found = DefaultPredictor(config)(cv2.imread(image))["instances"].to("cpu")
np.savez(
    answer,
    boxes=found.pred_boxes.tensor.numpy(),
    scores=found.scores.numpy(),
    classes=found.pred_classes.numpy(),
    masks=found.pred_masks.numpy(),
)
