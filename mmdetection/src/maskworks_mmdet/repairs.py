"""Models of MMDetection as this package's versions of its libraries can run them, with the same results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from mmdet.models import SSDHead
from mmengine.config import Config, ConfigDict

# A student's teacher is for its training, and so is the map of stuff of a Panoptic FPN for what is more than objects.
_STUDENTS = ("KnowledgeDistillationSingleStageDetector", "LAD")
_PANOPTIC_FPN = ("semantic_head", "panoptic_fusion_head")
_LEAST = torch.finfo(torch.float32).tiny


def repair(config: Config, *, alone: bool) -> None:
    """Changes a config where a stock model would not run: batch normalisation, and some parts.

    Args:
        config: of a model; changed in place.
        alone: it runs in one process, so that there is nobody to synchronise with.
    """
    SSDHead.loss_cls = None  # every other head has one, and each is asked for it
    for part in parts(config.model):
        if alone and part.get("type") == "MMSyncBN":  # cannot be built then; mmengine itself changes SyncBN
            part["type"] = "BN"
        if part.get("eps") == 0 and "BN" in str(part.get("type")):  # torch refuses 0; this one adds nothing in float32
            part["eps"] = _LEAST
        if part.get("type") == "FPN":  # a setting that a stock config of V3Det has, and no version of FPN
            part.pop("force_grad_on_level", None)
        if part.get("type") == "CascadeRPNHead":  # a detector tells it so, an RPN alone does not
            part.setdefault("num_classes", 1)


def without_training(model: ConfigDict) -> ConfigDict:
    """The config of the part of a model that finds objects, by itself.

    A student comes without its teacher. Of a panoptic model there are its objects, which it finds before it lays them
    over each other and over the stuff: a Panoptic FPN is a Mask R-CNN then.
    """
    model = model.copy()
    kind = str(model.type).rpartition(".")[2]
    if kind in _STUDENTS:
        own = {key: value for key, value in model.items() if "teacher" not in key}
        return ConfigDict(own, type="SingleStageDetector")
    if kind == "PanopticFPN":
        return ConfigDict({key: value for key, value in model.items() if key not in _PANOPTIC_FPN}, type="MaskRCNN")
    if "panoptic_fusion_head" in model and "panoptic_head" in model:
        model.test_cfg = ConfigDict({**(model.get("test_cfg") or {}), "instance_on": True, "panoptic_on": False})
    return model


def parts(config: Any) -> Iterator[Any]:
    """All dictionaries in a config, the outer ones first."""
    if isinstance(config, dict):
        yield config
    if isinstance(config, (dict, list, tuple)):
        for value in config.values() if isinstance(config, dict) else config:
            yield from parts(value)
