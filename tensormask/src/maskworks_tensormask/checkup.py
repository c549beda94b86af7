"""TensorMask's part of `maskworks doctor`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from maskworks.commands.doctor.finding import Finding
from maskworks.commands.doctor.reference_image import known_image
from maskworks.types import Bytes
from maskworks_torch.device import select_device, select_precision
from maskworks_torch.doctor.reference_network import agreement, flat, formula_weights
from tensormask import config_file, preprocessing
from tensormask.anchors import AnchorGrid, Locations
from tensormask.config import Config
from tensormask.detection import detect
from tensormask.model import TensorMask
from tensormask.network import Output, build

# Narrow, but with as many channels in the heads as it takes for all ways of computing a convolution.
SMALL = Config(
    mask_on=True, aligned_on=True, bipyramid_on=True, fuse_type="avg", pixel_std=(57.4, 57.1, 58.4),
    anchor_sizes=tuple((44.0 * 2**level, 60.0 * 2**level) for level in range(6)),
    stem_out_channels=16, res2_out_channels=32, width_per_group=8, fpn_out_channels=128, num_convs=1, num_classes=3,
    cls_channels=128, bbox_channels=32, mask_channels=32, topk_candidates=200, detections_per_image=10,
    min_size_test=192, max_size_test=256,
)  # fmt: skip
# Class logits, box deltas, masks.
KNOWN = (
    (0.19363, 0.50857, 0.23037, 0.29782, 0.61377, 0.01508, 0.39074, 0.40439),
    (0.3739, 0.31255, -0.63527, -0.023323, 0.34926, 0.10474, 0.29507, 0.038659),
    (0.52601, -0.47886, -0.13945, -1.1218, 0.15222, -0.069947, -0.35561, 0.10594),
)


def checkup(device: str, precision: str) -> Iterator[Finding]:
    """A small model with weights that follow from a formula, from its files to its masks."""
    image, _ = known_image()
    chosen = select_device(device)
    kind = select_precision(precision, chosen)
    with tempfile.TemporaryDirectory() as folder:
        path, config = Path(folder) / "small.safetensors", Path(folder) / "small.yaml"
        save_file(formula_weights(build(SMALL).state_dict()), path)
        config_file.write(SMALL.as_nested(), config)
        plain = TensorMask.from_files(config, path)
    here = plain.prepare(chosen, kind)
    seconds = _seconds(here, image)
    as_plain = _output(plain, image)
    yield agreement("tensormask", _numbers(_output(here, image)), _numbers(as_plain), KNOWN, kind, seconds)
    yield _detections(as_plain, chosen)


def _seconds(model: TensorMask, image: Bytes) -> float:
    """How long a prediction takes."""
    model.predict([image])  # the first one warms up
    start = time.perf_counter()
    model.predict([image])
    return time.perf_counter() - start


@torch.inference_mode()
def _output(model: TensorMask, image: Bytes) -> Output:
    inputs = preprocessing.batch([preprocessing.as_tensor(image)], model.config, model.device)
    output: Output = model.net(inputs)
    return output


@torch.inference_mode()
def _numbers(output: Output) -> list[Tensor]:
    """Class logits, box deltas, and the masks of windows that lie within the image."""
    places = [
        (level, 0, height // 2, width // 2, size)
        for level, (height, width) in enumerate(output.grid.level_sizes)
        for size, side in enumerate(SMALL.anchor_sizes[level])
        if side <= SMALL.min_size_test
    ]
    windows = Locations(*torch.tensor(places, device=output.logits[0].device).unbind(1))
    masks = [logits for _, logits in output.masks.at(windows)]
    return [flat(*output.logits), flat(*output.deltas), flat(*masks)]


@torch.inference_mode()
def _detections(output: Output, device: str) -> Finding:
    """True if sorting and non-maximum suppression choose the same here as on the CPU."""
    moved = replace(
        output,
        logits=[level.to(device) for level in output.logits],
        deltas=[level.to(device) for level in output.deltas],
        grid=AnchorGrid(SMALL, output.grid.level_sizes, torch.device(device)),
    )
    expected, found = (detect(some, 0, SMALL, 0.5) for some in (output, moved))
    same = torch.equal(found.classes.cpu(), expected.classes) and torch.allclose(found.boxes.cpu(), expected.boxes)
    if same and len(expected.boxes):
        return Finding("tensormask boxes", "ok", f"the same {len(expected.boxes)} are chosen as on the CPU")
    text = "non-maximum suppression chooses other boxes than on the CPU; try --device cpu, or reinstall torchvision"
    return Finding("tensormask boxes", "problem", text)
