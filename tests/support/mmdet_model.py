"""A small Mask R-CNN of MMDetection with random weights: what it finds does not matter here."""

from __future__ import annotations

from pathlib import Path

import torch

from maskworks_mmdet.installation import import_mmdet

STARTER = (
    Path(__file__).resolve().parents[2]
    / "mmdetection"
    / "src"
    / "maskworks_mmdet"
    / "starter"
    / "mask-rcnn_r18_scratch.py"
)


def write_model(folder: Path) -> tuple[Path, Path]:
    """Writes checkpoint and config."""
    import_mmdet()
    from mmdet.registry import MODELS
    from mmdet.utils import register_all_modules
    from mmengine.config import Config

    register_all_modules(init_default_scope=True)
    torch.manual_seed(0)
    net = MODELS.build(Config.fromfile(STARTER).model)
    checkpoint = folder / "tiny.pth"
    torch.save({"state_dict": net.state_dict(), "meta": {"dataset_meta": {"classes": ("a", "b")}}}, checkpoint)
    return checkpoint, STARTER
