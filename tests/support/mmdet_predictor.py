"""Models of MMDetection with random weights, loaded as the commands do it, and requests for them."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch

from maskworks.types import Request
from maskworks_mmdet.options import MmdetConfig
from maskworks_mmdet.sample_data import NAMES


def load(checkpoint, config, **flags):
    from maskworks_mmdet.adapter import MmdetPredictor

    return MmdetPredictor.load(MmdetConfig(checkpoint=checkpoint, config=config, device="cpu", **flags))


def requests(*images):
    return [Request(f"{index}", image) for index, image in enumerate(images)]


def saved(
    folder, name="starter/mask-rcnn_r18_scratch.py", change=lambda config: None, meta=None, part=lambda model: model
):
    """A config that was changed, and a checkpoint of random weights for it, or for the part of its model."""
    from mmdet.registry import MODELS
    from mmengine.registry import init_default_scope

    from maskworks_mmdet.configs import find_config, read_config

    config = read_config(find_config(Path(name)))
    change(config)
    config.dump(folder / "config.py")
    torch.manual_seed(0)
    init_default_scope("mmdet")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about arguments of layers that are deprecated
        model = MODELS.build(part(config.model))
    names = NAMES if name.startswith("starter/") else [f"class {index}" for index in range(80)]
    meta = meta or {"classes": names}
    torch.save({"state_dict": model.state_dict(), "meta": {"dataset_meta": meta}}, folder / "c.pth")
    return folder / "c.pth", folder / "config.py"
