"""The compiled operators of mmcv, each tried on something small whose result is known from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import mmcv
import torch
import torch.nn.functional as F
import torchvision.ops as peer
from mmcv import ops
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction, multi_scale_deformable_attn_pytorch
from torch import Tensor

from maskworks.commands.doctor.finding import Finding
from maskworks_mmdet.operators import MISSING

# Without these two there is no model that works.
_NEEDED = ("nms", "roi_align")
_TOLERANCE = 1e-3


def operator_findings(device: str) -> Iterator[Finding]:
    """The operators that are right on a device, those that are wrong, and those that are missing."""
    right, lacking = [], []
    for name, trial in TRIALS.items():
        problem = _problem(trial, device)
        if problem is None:
            right.append(name)
        elif MISSING.search(problem) and name not in _NEEDED:
            lacking.append(name)
        else:
            yield Finding(f"mmcv {name}", "problem", f"{problem}; remove the wheels and run: make mmdetection")
    if right:
        yield Finding("mmcv operators", "ok", f"mmcv {mmcv.__version__}, right on {device}: {', '.join(right)}")
    if lacking:
        advice = "use a GPU" if device == "cpu" else "build mmcv with CUDA: FORCE_CUDA=1 make mmdetection"
        text = f"not on {device}: {', '.join(lacking)}; for models with them {advice}"
        yield Finding("mmcv others", "note", text)


def _problem(trial: Callable[[str], tuple[Tensor, Tensor]], device: str) -> str | None:
    """The problem of an operator; None if it is right."""
    try:
        found, expected = trial(device)
    except Exception as error:  # noqa: BLE001 - a broken library may raise anything
        return f"{error}".strip().partition("\n")[0] or type(error).__name__
    found = found.cpu().to(expected.dtype)
    if found.shape == expected.shape and torch.allclose(found, expected, rtol=_TOLERANCE, atol=_TOLERANCE):
        return None
    return f"computes on {device} what it should not"


def _nms(device: str) -> tuple[Tensor, Tensor]:
    corners = 20 * _numbers(40, 2)
    boxes, scores = torch.cat([corners, corners + 8], 1), _numbers(40)
    _, kept = ops.nms(boxes.to(device), scores.to(device), 0.3)
    return kept, peer.nms(boxes, scores, 0.3)


def _roi_align(device: str) -> tuple[Tensor, Tensor]:
    features, rois = _numbers(1, 3, 12, 16), _rois()
    found = ops.roi_align(features.to(device), rois.to(device), 4, 0.5, 2, "avg", True)
    return found, peer.roi_align(features, rois, 4, 0.5, 2, aligned=True)


def _roi_pool(device: str) -> tuple[Tensor, Tensor]:
    features, rois = _numbers(1, 3, 12, 16), _rois()
    return ops.roi_pool(features.to(device), rois.to(device), 4, 0.5), peer.roi_pool(features, rois, 4, 0.5)


def _deform_conv2d(device: str) -> tuple[Tensor, Tensor]:
    x, offset, weight = _numbers(1, 4, 9, 9), _numbers(1, 18, 9, 9), _numbers(6, 4, 3, 3)
    found = ops.deform_conv2d(x.to(device), offset.to(device), weight.to(device), 1, 1, 1)
    return found, peer.deform_conv2d(x, offset, weight, padding=1)


def _modulated_deform_conv2d(device: str) -> tuple[Tensor, Tensor]:
    x, offset, weight, mask, bias = (
        _numbers(1, 4, 9, 9), _numbers(1, 18, 9, 9), _numbers(6, 4, 3, 3), _numbers(1, 9, 9, 9), _numbers(6),
    )  # fmt: skip
    tensors = (value.to(device) for value in (x, offset, mask, weight, bias))
    found = ops.modulated_deform_conv2d(*tensors, 1, 1, 1, 1, 1)
    return found, peer.deform_conv2d(x, offset, weight, bias, padding=1, mask=mask)


def _carafe(device: str) -> tuple[Tensor, Tensor]:
    x, kernels = _numbers(1, 4, 6, 6), _numbers(1, 9, 12, 12)
    found = ops.carafe(x.to(device), kernels.to(device), 3, 1, 2)
    around = F.unfold(x, 3, padding=1).view(4, 9, 6, 6).repeat_interleave(2, 2).repeat_interleave(2, 3)
    return found, (around * kernels).sum(1)[None]


def _ms_deform_attn(device: str) -> tuple[Tensor, Tensor]:
    value, places, weights = _numbers(1, 20, 2, 4), _numbers(1, 5, 2, 1, 3, 2), _numbers(1, 5, 2, 1, 3)
    shapes, start = torch.tensor([[4, 5]]), torch.tensor([0])
    tensors = (tensor.to(device) for tensor in (value, shapes, start, places, weights))
    found = MultiScaleDeformableAttnFunction.apply(*tensors, 1)
    return found, multi_scale_deformable_attn_pytorch(value, shapes, places, weights)


def _rois() -> Tensor:
    """(2, 5) of image, x0, y0, x1, y1."""
    return torch.tensor([[0, 2.0, 3.0, 20.0, 17.0], [0, 5.5, 0.5, 30.0, 22.0]])


def _numbers(*shape: int) -> Tensor:
    """Numbers from 0 to 1 without a pattern, the same everywhere."""
    count = torch.arange(1, 1 + torch.Size(shape).numel(), dtype=torch.float64)
    return (count * 0.6180339887498949).frac().float().view(shape)


TRIALS: dict[str, Callable[[str], tuple[Tensor, Tensor]]] = {
    "nms": _nms,
    "roi_align": _roi_align,
    "roi_pool": _roi_pool,
    "deform_conv2d": _deform_conv2d,
    "modulated_deform_conv2d": _modulated_deform_conv2d,
    "carafe": _carafe,
    "ms_deform_attn": _ms_deform_attn,
}
