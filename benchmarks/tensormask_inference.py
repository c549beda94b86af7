"""A whole prediction of TensorMask on the CPU: ResNet-50 at 800 pixels (800 x 1067), 80 classes, 100 detections.

The peer is the same network as it is, in float32, in the original's order of work (`original_tensormask`): all masks of
all levels are computed and then some are used. Ours is what the commands run. The weights are random, calibrated on the
image: features of order one, and a few thousand candidates. Agreement: the smallest IoU of a mask with the peer's,
matched by class and box; the note has the largest difference of the boxes in pixels and of the scores, and the memory
that tensors of the mask branch take at most, without the masks of the image themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from benchmarks.harness import Row, alternate
from maskworks.freed_memory import keep_freed_memory
from tensormask import preprocessing
from tensormask.config import Config
from tensormask.convolution import Conv
from tensormask.detection import detect
from tensormask.model import Result, TensorMask
from tensormask.network import TensorMaskNet, build
from tensormask.norms import FrozenBatchNorm
from tests.support import original_tensormask
from tests.support.iou import iou
from tests.support.tensor_memory import PeakMemory

PHOTO = Path(__file__).parents[1] / "dextr" / "demo" / "photos" / "coffee.jpg"
SIZE = (640, 480)
ANCHORS = tuple((44.0 * 2**level, 60.0 * 2**level) for level in range(6))


def run() -> Iterator[Row]:
    keep_freed_memory()
    image = photo()
    net = calibrated(image)
    model = TensorMask(net).prepare()
    answers: dict[str, Any] = {}
    times = alternate(
        lambda: answers.update(peer=original_tensormask.predict(net, image)),
        lambda: answers.update(ours=with_masks(model, image)),
        rounds=2,
    )
    worst, box, score = compare(answers["peer"], answers["ours"])
    memory = mask_memory(model, image) / 2**20
    objects = len(answers["ours"].masks)
    note = f"{objects} objects; boxes {box:.1e} px, scores {score:.1e}; masks take {memory:.0f} MiB"
    yield Row("R50, 800 x 1067", *times, f"{worst:.5f}", note)


def with_masks(model: TensorMask, image: np.ndarray) -> Result:
    """Our prediction; its masks of the whole image are made, too, because the peer makes them."""
    (result,) = model.predict([image])
    assert len(result.masks) == len(result.boxes)
    return result


def photo() -> np.ndarray:
    """(480, 640, 3) uint8."""
    with Image.open(PHOTO) as image:
        return np.asarray(image.convert("RGB").resize(SIZE))


@torch.no_grad()
def calibrated(image: np.ndarray) -> TensorMaskNet:
    """A network of random weights, whose features have a deviation of one on this image and whose scores differ."""
    torch.manual_seed(0)
    config = Config(mask_on=True, aligned_on=True, bipyramid_on=True, fuse_type="avg", anchor_sizes=ANCHORS)
    net = build(config)
    net.initialise()
    hooks = [m.register_forward_hook(_normalise) for m in net.modules() if isinstance(m, FrozenBatchNorm)]
    hooks += [m.register_forward_hook(_scale) for m in net.modules() if isinstance(m, Conv) and m.norm is None]
    size = preprocessing.resized_size(image.shape[:2], config.min_size_test, config.max_size_test)
    tensor = preprocessing.as_tensor(preprocessing.resize(image, size)[:, :, ::-1])
    original_tensormask.everything(net, preprocessing.batch([tensor], config, "cpu"))
    for hook in hooks:
        hook.remove()
    net.head.cls_score.weight.mul_(1.3)
    net.head.cls_score.bias.fill_(-7.0)
    net.head.bbox_pred.weight.mul_(0.3)
    return net


def _normalise(norm: FrozenBatchNorm, inputs: tuple[torch.Tensor], _: torch.Tensor) -> torch.Tensor:
    norm.running_mean.copy_(inputs[0].mean((0, 2, 3)))
    norm.running_var.copy_(inputs[0].var((0, 2, 3)))
    return norm.forward(inputs[0])


def _scale(conv: Conv, inputs: tuple[torch.Tensor, ...], result: torch.Tensor) -> torch.Tensor | None:
    # Layers that several levels share are scaled by the first one.
    if getattr(conv, "scaled", False):
        return None
    conv.scaled = True
    plain = nn.functional.conv2d(inputs[0], conv.weight, conv.bias, conv.stride, conv.padding)
    conv.weight.div_(plain.std())
    return conv.forward(*inputs)


def compare(peer: dict[str, np.ndarray], ours: Result) -> tuple[float, float, float]:
    """Smallest IoU of masks, largest difference of boxes and of scores."""
    if len(peer["scores"]) != len(ours.scores):
        return 0.0, np.inf, np.inf
    worst, box, score = 1.0, 0.0, 0.0
    for index in range(len(ours.scores)):
        distance = np.abs(peer["boxes"] - ours.boxes[index]).max(1)
        distance[peer["classes"] != ours.classes[index]] = np.inf
        match = int(distance.argmin())
        box = max(box, float(distance[match]))
        score = max(score, abs(float(peer["scores"][match] - ours.scores[index])))
        worst = min(worst, iou(peer["masks"][match], ours.masks[index]))
    return worst, box, score


@torch.inference_mode()
def mask_memory(model: TensorMask, image: np.ndarray) -> int:
    """Most bytes that tensors of the mask branch take, from the pyramid to the probabilities of the windows."""
    config = model.config
    size = preprocessing.resized_size(image.shape[:2], config.min_size_test, config.max_size_test)
    tensor = preprocessing.as_tensor(preprocessing.resize(image, size)[:, :, ::-1])
    output = model.net(preprocessing.batch([tensor], config, "cpu"))
    found = detect(output, 0, config, config.score_thresh)
    with PeakMemory() as memory:
        for _, logits in output.masks.at(found.at):
            logits.sigmoid()
    return memory.peak
