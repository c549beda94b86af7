"""The original's targets, losses and gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tensormask import preprocessing
from tensormask.training.assignment import BACKGROUND, assign
from tensormask.training.ground_truth import GroundTruth
from tensormask.training.losses import losses
from tensormask.training.mask_targets import mask_targets, whole_mask

# pycocotools 2.0.11 does not know numpy 2.4 yet.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def truths(original, kind):
    """The objects of the two images."""
    found = []
    for number, name in enumerate(("im0", "im1")):
        polygons = original.truth["polygons"][number]
        boxes, classes = (torch.tensor(original.truth[key][number]) for key in ("boxes", "classes"))
        if kind == "polygon":
            parts = tuple([np.array(part, np.float64) for part in parts] for parts in polygons)
            found.append(GroundTruth(boxes, classes, polygons=parts))
        else:
            size = original.image(name).shape[:2]
            masks = np.stack([whole_mask(parts, *size) for parts in polygons])
            found.append(GroundTruth(boxes, classes, masks=torch.from_numpy(masks).bool()))
    return found


def output(original, net):
    images = [preprocessing.as_tensor(original.image(name)[:, :, ::-1]) for name in ("im0", "im1")]
    return net(preprocessing.batch(images, net.config, "cpu"))


@pytest.mark.parametrize("kind", ["polygon", "bitmask"])
def test_losses_and_gradients(original, kind):
    net = original.model().net.requires_grad_(True)
    net.backbone.bottom_up.freeze(net.config.freeze_at)
    found = losses(output(original, net), truths(original, kind), net.config)
    for name, value in found.items():
        assert abs(value.item() - original.answers[f"{kind}.{name}"]) < 1e-5, name
    sum(found.values()).backward()
    gradients = {name: p.grad for name, p in net.named_parameters() if p.requires_grad}
    start = f"{kind}.norm."
    expected = {key.removeprefix(start): v for key, v in original.answers.items() if key.startswith(start)}
    assert set(gradients) == set(expected)
    for name, norm in expected.items():
        assert abs(gradients[name].norm().item() - norm) <= 1e-4 * max(norm, 1e-3), name
        if kind == "polygon":
            values = original.answers[f"polygon.grad.{name}"]
            difference = np.abs(gradients[name].flatten()[::11].numpy() - values).max()
            assert difference <= 1e-4 * np.abs(values).max() + 1e-6, name


@pytest.mark.parametrize("kind", ["polygon", "bitmask"])
def test_targets_are_the_originals(original, model, kind):
    with torch.no_grad():
        grid = output(original, model.net).grid
    at, anchors = grid.all()
    own = truths(original, kind)
    matched = torch.stack([assign(at, anchors, truth.boxes, model.config) for truth in own])
    image, anchor = (matched != BACKGROUND).nonzero(as_tuple=True)
    assert anchor.tolist() == [n % len(grid) for n in original.answers[f"{kind}.foreground"].tolist()]
    start = f"{kind}.masks."
    checked = 0
    for key in [key for key in original.answers if key.startswith(start)]:
        level, size = map(int, key.removeprefix(start).split("."))
        chosen = ((at.level[anchor] == level) & (at.size[anchor] == size)).nonzero()[:, 0]
        side = model.config.mask_sizes[size] * 2**level
        found = torch.cat([
            mask_targets(own[number], matched[image, anchor][numbers], anchors[anchor[numbers]], side)
            for number in (0, 1) if len(numbers := chosen[image[chosen] == number])
        ])  # fmt: skip
        expected = np.unpackbits(original.answers[key], axis=-1)[..., :side]
        np.testing.assert_array_equal(found.numpy().astype(np.uint8), expected)
        checked += len(found)
    assert checked == len(anchor) == 23


def test_without_objects_everything_is_background(original):
    net = original.model().net.requires_grad_(True)
    empty = GroundTruth(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), polygons=())
    found = losses(output(original, net), [empty, empty], net.config)
    assert found["loss_box_reg"] == found["loss_mask"] == 0
    sum(found.values()).backward()
    assert all(p.grad is not None for p in net.parameters())  # processes that train together rely on it
