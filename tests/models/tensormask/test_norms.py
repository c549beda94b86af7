"""Normalisations of the feature pyramid: detectron2's names of their weights, and what they compute."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from maskworks.errors import ConfigError as MaskworksConfigError
from maskworks_tensormask import train_command
from tensormask import checkpoints
from tensormask.config import Config
from tensormask.errors import ConfigError
from tensormask.model import TensorMask
from tensormask.network import build
from tensormask.training.solver import make_optimizer

# Of each: what it has beside weight and bias, and what it computes of x (N, C, H, W) with the values p.
STATISTICS = ("running_mean", "running_var")


def by_statistics(x, p):
    mean, variance = (p[name][:, None, None] for name in STATISTICS)
    return (x - mean) / (variance + 1e-5).sqrt()


def by_groups(x, p):
    groups = x.reshape(len(x), 32, -1)
    mean, variance = groups.mean(2, keepdim=True), groups.var(2, correction=0, keepdim=True)
    return ((groups - mean) / (variance + 1e-5).sqrt()).reshape(x.shape)


def by_channels(x, p):
    return (x - x.mean(1, keepdim=True)) / (x.var(1, correction=0, keepdim=True) + 1e-6).sqrt()


NORMS = {
    "FrozenBN": (STATISTICS, by_statistics),
    "BN": ((*STATISTICS, "num_batches_tracked"), by_statistics),
    "SyncBN": ((*STATISTICS, "num_batches_tracked"), by_statistics),
    "naiveSyncBN": ((*STATISTICS, "num_batches_tracked"), by_statistics),
    "GN": ((), by_groups),
    "LN": ((), by_channels),
}
each_norm = pytest.mark.parametrize("norm", NORMS)
LAYERS = [f"fpn_{kind}{stage}" for kind in ("lateral", "output") for stage in (2, 3, 4, 5)]


def config_with(original, norm, *overrides):
    return Config.from_file(original.config, ["MODEL.FPN.OUT_CHANNELS", "64", "MODEL.FPN.NORM", norm, *overrides])


def file_of_detectron2(original, norm, path):
    """Random weights for such a network under detectron2's names; what has the shape of the small model's is that."""
    torch.manual_seed(3)
    known = checkpoints.read(original.weights)
    state = {}
    for name, value in build(config_with(original, "")).state_dict().items():
        layer, _, part = name.removeprefix("backbone.").partition(".")
        if layer in LAYERS and part == "bias" and norm:
            continue
        same = name in known and known[name].shape == value.shape
        state[name] = known[name] if same else torch.randn(value.shape) * (2 / max(value[0].numel(), 1)) ** 0.5
    for layer in LAYERS if norm else ():
        for part in ("weight", "bias", *NORMS[norm][0]):
            positive = part in ("weight", "running_var")
            value = torch.rand(64) + 0.5 if positive else torch.randn(64) * 0.3
            state[f"backbone.{layer}.norm.{part}"] = value if part != "num_batches_tracked" else torch.tensor(900)
    torch.save({"model": OrderedDict(state), "iteration": 9}, path)
    return state


def pyramid(state, norm, stages):
    """p2 to p5 as the paper says, with averages, step by step."""

    def conv(layer, x):
        p = {n.rpartition(".")[2]: v for n, v in state.items() if n.startswith(f"backbone.{layer}.norm.")}
        weight = state[f"backbone.{layer}.weight"]
        y = F.conv2d(x, weight, None if norm else state[f"backbone.{layer}.bias"], padding=weight.shape[-1] // 2)
        return NORMS[norm][1](y, p) * p["weight"][:, None, None] + p["bias"][:, None, None] if norm else y

    top = conv("fpn_lateral5", stages[3])
    levels = [conv("fpn_output5", top)]
    for stage in (4, 3, 2):
        top = (conv(f"fpn_lateral{stage}", stages[stage - 2]) + top.repeat_interleave(2, 2).repeat_interleave(2, 3)) / 2
        levels.insert(0, conv(f"fpn_output{stage}", top))
    return levels


@pytest.mark.parametrize("norm", ["", *NORMS])
def test_weights_of_detectron2_give_what_its_formulas_give(original, tmp_path, norm):
    state = file_of_detectron2(original, norm, tmp_path / "model.pth")
    net = build(config_with(original, norm)).eval()
    checkpoints.load(net, tmp_path / "model.pth")
    assert set(net.state_dict()) == set(state)
    assert all(int(v) == 0 for n, v in net.state_dict().items() if n.endswith("num_batches_tracked"))
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        found, expected = net.backbone(images), pyramid(state, norm, net.backbone.bottom_up(images))
    for level, wanted in zip(found[:4], expected, strict=True):
        torch.testing.assert_close(level, wanted, atol=1e-4, rtol=1e-4)


@each_norm
def test_a_prepared_model_finds_the_same(original, tmp_path, norm):
    file_of_detectron2(original, norm, tmp_path / "model.pth")
    net = build(config_with(original, norm))
    checkpoints.load(net, tmp_path / "model.pth")
    model, image = TensorMask(net), original.image("im0")
    (expected,), (found,) = (one.predict([image], threshold=0.0) for one in (model, model.prepare("cpu")))
    assert len(expected.boxes) > 10
    np.testing.assert_allclose(found.scores, expected.scores, atol=5e-5)


def test_normalisations_with_fixed_statistics_are_folded(original, tmp_path):
    for norm, left in (("BN", 0), ("FrozenBN", 0), ("SyncBN", 0), ("GN", 8), ("LN", 8)):
        file_of_detectron2(original, norm, tmp_path / "model.pth")
        net = build(config_with(original, norm))
        checkpoints.load(net, tmp_path / "model.pth")
        names = [name for name, _ in TensorMask(net).prepare("cpu").net.named_modules() if name.endswith(".norm")]
        assert len(names) == left, norm


@each_norm
def test_a_training_starts_and_saves_what_it_can_load(original, tmp_path, norm):
    config = config_with(original, norm, "SOLVER.WEIGHT_DECAY_BIAS", "0.5")
    net = build(config)
    net.initialise()
    net.train()
    trained = {n for n, p in net.named_parameters() if ".fpn_" in n and ".norm." in n and p.requires_grad}
    assert len(trained) == (0 if norm == "FrozenBN" else 16)
    for level in net.backbone(torch.randn(2, 3, 64, 64)):
        assert level.isfinite().all()
    decays = {
        id(p): group["weight_decay"] for group in make_optimizer(net, config).param_groups for p in group["params"]
    }
    for name, parameter in net.named_parameters():
        own = ".norm." in name and norm != "LN"  # detectron2 does not count that one
        assert decays[id(parameter)] == (0.5 if name.endswith(".bias") else 0.0 if own else 0.0001), name
    checkpoints.save(net, tmp_path / "own.safetensors")
    again = build(config)
    checkpoints.load(again, tmp_path / "own.safetensors")
    checkpoints.load_pretrained(again, tmp_path / "own.safetensors")


def test_other_normalisations_are_refused(original):
    with pytest.raises(ConfigError, match=r"FPN\.NORM: 'IN'; expected one of \('', 'FrozenBN', 'BN'"):
        config_with(original, "IN")
    with pytest.raises(ConfigError, match="GN has 32 groups"):
        config_with(original, "GN", "MODEL.FPN.OUT_CHANNELS", "48")


def test_weights_of_another_normalisation_are_refused_by_name(original, tmp_path):
    file_of_detectron2(original, "GN", tmp_path / "model.pth")
    with pytest.raises(checkpoints.CheckpointError, match=r"fpn_lateral2\.norm\.running_mean"):
        checkpoints.load(build(config_with(original, "BN")), tmp_path / "model.pth")
    with pytest.raises(checkpoints.CheckpointError, match=r"fpn_lateral2\.bias"):
        checkpoints.load(build(config_with(original, "")), tmp_path / "model.pth")


def test_processes_on_cpus_cannot_share_statistics(original):
    processes = SimpleNamespace(count=2, device=torch.device("cpu"))
    flags = ["MODEL.FPN.OUT_CHANNELS", "32", "MODEL.FPN.NORM", "SyncBN"]
    with pytest.raises(MaskworksConfigError, match=r"FPN\.NORM: SyncBN in several processes works on GPUs only"):
        train_command._train_here(original.config, flags, None, processes, None)
