"""A small Mask R-CNN whose weights follow from a formula, and its expected results."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor

from maskworks.commands.doctor.finding import Finding
from maskworks.commands.doctor.reference_image import known_image
from maskworks.types import Bytes, Request
from maskworks_mmdet.adapter import MmdetPredictor
from maskworks_mmdet.configs import STARTER
from maskworks_mmdet.detector import Detector, load_detector
from maskworks_mmdet.options import MmdetConfig
from maskworks_torch.device import Precision
from maskworks_torch.doctor.reference_network import agreement, flat, formula_weights

_CONFIG = STARTER / "mask-rcnn_r18_scratch.py"
# Features, the proposals' logits and deltas, the classes and deltas of boxes, their masks.
KNOWN = (
    (-5.2363, 1.2887, 4.1478, 2.8208, 3.054, 2.4407, -1.4247, 0.11481),
    (-0.83661, 1.0041, -1.1404, -0.22664, -1.3722, -7.8365, -1.4525, 1.5297),
    (-0.39329, -1.3766, -2.4131, -2.1875, -0.069401, 0.95196, 1.0955, -0.10401),
    (-0.55505, -0.34671, 0.32211, -0.5313, -0.26613, 0.72829, -0.09164, -0.61133),
)
_BOXES = ((0.0, 8.0, 6.0, 40.0, 40.0), (0.0, 20.0, 20.0, 100.0, 76.0), (0.0, 0.0, 0.0, 128.0, 96.0))


def model_finding(device: str, precision: Precision) -> Finding:
    """The starter's network, from its files to its masks."""
    image, _ = known_image()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.pth"
        _write_checkpoint(path)
        here = MmdetPredictor.load(MmdetConfig(checkpoint=path, config=_CONFIG, device=device, precision=precision))
        plain = load_detector(MmdetConfig(checkpoint=path, config=_CONFIG))
    seconds = _seconds(here, image)
    found, expected = (_numbers(detector, image) for detector in (here._detector, plain))
    return agreement("mmdet", found, expected, KNOWN, precision, seconds)


def _write_checkpoint(path: Path) -> None:
    init_default_scope("mmdet")
    net = MODELS.build(Config.fromfile(_CONFIG).model)
    torch.save({"state_dict": formula_weights(net.state_dict()), "meta": {"CLASSES": ("a", "b")}}, path)


def _seconds(predictor: MmdetPredictor, image: Bytes) -> float:
    """How long a prediction takes."""
    request = Request("known", image)
    predictor.predict([request])  # the first one warms up
    start = time.perf_counter()
    predictor.predict([request])
    return time.perf_counter() - start


@torch.inference_mode()
def _numbers(detector: Detector, image: Bytes) -> list[Tensor]:
    """The output of each part of the network; boxes are given, so that nothing depends on which are chosen."""
    model: Any = detector.model
    item = detector.prepare(image)
    data = model.data_preprocessor({key: [value] for key, value in item.items()})
    features = model.extract_feat(data["inputs"])
    boxes, heads = features[0].new_tensor(_BOXES), model.roi_head
    scores, deltas = heads.bbox_head(heads.bbox_roi_extractor(features[:4], boxes))
    masks = heads.mask_head(heads.mask_roi_extractor(features[:4], boxes))
    logits, offsets = model.rpn_head(features)
    return [flat(*features), flat(*logits, *offsets), flat(scores, deltas), flat(masks)]
