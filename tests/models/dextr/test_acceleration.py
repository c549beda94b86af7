"""Nets prepared for inference give the logits of the nets they come from."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from dextr import acceleration, architectures
from dextr.acceleration.folding import fold
from dextr.acceleration.subpixel import SubpixelHead, upsample_add
from maskworks_torch.cpu_operators.packed_conv import PackedConv
from maskworks_torch.cpu_operators.winograd import WinogradConv

SIZE = (64, 96)
NETS = [name for name in architectures.NAMES if name != "resunet101"] + ["resunet-1-2-1-1"]


def channels_last(*size):
    return torch.randn(*size).contiguous(memory_format=torch.channels_last)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(5)


@pytest.fixture(scope="module", params=NETS)
def net(request):
    torch.manual_seed(7)
    net = architectures.build(request.param, num_classes=2).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.2)
    return net


def logits(net, x):
    with torch.inference_mode():
        return net(x)["out"]


def fused_additions(graph):
    """How many convolutions add something to their result."""
    return sum(node.op == "call_module" and len(node.args) == 2 for node in graph.graph.nodes)


def assert_close(actual, expected, relative):
    assert actual.shape == expected.shape
    assert actual.dtype == torch.float32
    assert (actual - expected).abs().max() <= relative * expected.abs().max()


@pytest.mark.slow("computes with a network")
def test_every_net_and_any_size_and_batch(net):
    before = copy.deepcopy(net.state_dict())
    prepared = acceleration.prepare(net.train(), SIZE)
    assert net.training
    net.eval()
    for size in ((1, 4, *SIZE), (2, 4, 64, 32)):
        x = torch.randn(*size)
        given = x.clone()
        assert_close(logits(prepared, x), logits(net, x), 2e-5)
        assert torch.equal(x, given)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_channels_first_is_the_folded_net():
    net = architectures.build("mobileunet").eval()
    x = torch.randn(1, 4, *SIZE)
    assert_close(logits(acceleration.prepare(net, SIZE, channels_last=False), x), logits(net, x), 2e-5)


@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 0.1), ("fp16", 0.02)])
def test_half_precision(precision, tolerance):
    net = architectures.build("mobileunet").eval()
    x = torch.randn(1, 4, *SIZE)
    prepared = acceleration.prepare(net, SIZE, precision=precision)
    assert_close(logits(prepared, x), logits(net, x), tolerance)
    assert not torch.equal(logits(prepared, x), logits(net, x))


def test_unknown_precision():
    with pytest.raises(ValueError, match="fp32, bf16, fp16"):
        acceleration.prepare(architectures.build("mobileunet"), SIZE, precision="int8")


@pytest.mark.parametrize("capability", ["AVX2", "AVX512"])
def test_what_a_resunet_becomes(monkeypatch, capability):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    graph = acceleration.prepare(architectures.build("resunet-1-2-1-1"), SIZE).graph
    kinds = [type(module) for module in graph.modules()]
    assert fused_additions(graph) == 5  # one per block
    assert kinds.count(SubpixelHead) == 1
    assert (WinogradConv in kinds) == (capability == "AVX2")
    assert not {nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.Upsample, nn.Dropout} & set(kinds)
    assert [node.target for node in graph.graph.nodes if node.op == "call_function"] == [upsample_add] * 4


@pytest.mark.slow("computes with a network")
def test_folding_keeps_only_what_inference_needs():
    graph = fold(architectures.build("deeplab3"))
    kinds = {type(module) for module in graph.modules()}
    assert not {nn.BatchNorm2d, nn.Dropout} & kinds
    assert not any("aux" in name for name, _ in graph.named_modules())


@pytest.mark.slow("computes with a network")
def test_a_prepared_model_predicts_the_same(models, prepared, original):
    case = original.cases["p02"]
    image, points = original.input(case)
    (plain,), (fast,) = (kind["a"].predict([image], [points]) for kind in (models, prepared))
    assert np.abs(plain - fast).max() <= 1.01 / 255
    assert prepared["a"].device == torch.device("cpu")
    with pytest.raises(ValueError, match="PreparedNet"):
        prepared["a"].checkpoint()


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("bias", [False, True])
def test_subpixel_head(classes, bias):
    conv, classifier = nn.Conv2d(8, 16, 3, padding=1, bias=bias), nn.Conv2d(16, classes, 1, bias=bias)
    x = channels_last(2, 8, 5, 7)
    with torch.inference_mode():
        expected = classifier(F.relu(conv(F.interpolate(x, scale_factor=2.0))))
        actual = SubpixelHead(conv, classifier, x.shape)(x)
    assert_close(actual, expected, 1e-5)


def test_upsample_add():
    x, skip = channels_last(2, 8, 3, 5), channels_last(2, 8, 6, 10)
    expected = F.interpolate(x, scale_factor=2.0) + skip
    assert torch.equal(upsample_add(x, skip), expected)
    assert torch.equal(upsample_add(x.contiguous(), skip.contiguous()), expected)


def test_an_addition_overwrites_only_what_nobody_needs():
    class Residual(nn.Module):
        def __init__(self, keep):
            super().__init__()
            self.first, self.second, self.third = (nn.Conv2d(4, 4, 1) for _ in range(3))
            self.keep = keep

        def forward(self, x):
            a = self.first(x)
            y = F.relu(self.third(self.second(a)) + a)
            return {"out": y * a if self.keep else y}

    x = torch.randn(1, 4, 8, 8)
    for keep in (False, True):
        net = Residual(keep).eval()
        prepared = acceleration.prepare(net, (8, 8))
        assert fused_additions(prepared.graph) == (0 if keep else 1)
        assert any(isinstance(module, PackedConv) for module in prepared.modules())
        assert_close(logits(prepared, x), logits(net, x), 1e-5)
