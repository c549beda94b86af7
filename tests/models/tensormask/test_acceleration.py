"""Convolutions for CPUs, and what they make of a network."""

from __future__ import annotations

import pytest
import torch

from tensormask.acceleration import packed_conv, prepare, strips, winograd
from tensormask.acceleration.packed_conv import PackedConv
from tensormask.acceleration.winograd import WinogradConv
from tensormask.convolution import Conv

SIZES = [(1, 1), (4, 4), (13, 21), (50, 67)]


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", [WinogradConv, PackedConv])
@torch.no_grad()
def test_it_is_the_convolution(kind, size, relu, residual):
    torch.manual_seed(0)
    conv = Conv(24, 16, 3, relu=relu)
    x = torch.randn(2, 24, *size).to(memory_format=torch.channels_last)
    other = torch.randn(2, 16, *size).to(memory_format=torch.channels_last) if residual else None
    expected = conv(x, other)
    fast = kind(conv)(x, None if other is None else other.clone(memory_format=torch.channels_last))
    torch.testing.assert_close(fast, expected, atol=2e-5, rtol=1e-5)


def test_where_winograd_pays_off():
    assert winograd.pays_off(Conv(128, 128, 3))
    assert not winograd.pays_off(Conv(64, 64, 3))
    assert not winograd.pays_off(Conv(256, 256, 3, stride=2))
    assert not winograd.pays_off(Conv(256, 256, 1))


@torch.no_grad()
def test_folding():
    torch.manual_seed(0)
    conv = Conv(8, 8, 3, norm=True, relu=True)
    for buffer in (conv.norm.weight, conv.norm.bias, conv.norm.running_mean, conv.norm.running_var):
        buffer.uniform_(0.5, 2)
    x = torch.randn(1, 8, 9, 9)
    expected = conv(x)
    conv.fold()
    assert conv.norm is None
    torch.testing.assert_close(conv(x), expected, atol=1e-5, rtol=1e-5)


def test_prepare_leaves_the_network_alone(model):
    before = {name: value.clone() for name, value in model.net.state_dict().items()}
    net = prepare(model.net, "cpu")
    assert any(isinstance(module, PackedConv) for module in net.modules()) == packed_conv.supports(torch.float32)
    assert all(torch.equal(value, before[name]) for name, value in model.net.state_dict().items())
    with pytest.raises(ValueError, match="fp64"):
        prepare(model.net, "cpu", "fp64")


def test_bf16_finds_about_the_same(original, model):
    image = original.image("im0")
    (expected,), (found,) = model.predict([image]), model.prepare(precision="bf16").predict([image])
    assert abs(len(found.boxes) - len(expected.boxes)) <= 5
    assert abs(found.scores[:20] - expected.scores[:20]).max() < 0.05


@pytest.mark.parametrize("size", [(700, 40), (40, 700)])
def test_a_prepared_network_takes_every_size(model, size):
    import numpy as np

    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    (expected,), (found,) = model.predict([image]), model.prepare().predict([image])
    assert len(expected.boxes) == len(found.boxes)
    np.testing.assert_allclose(expected.scores, found.scores, atol=5e-5)


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad])
def test_strips_in_several_threads(two_threads, mode):
    torch.manual_seed(0)
    conv = Conv(8, 8, 3, relu=True)
    x = torch.randn(2, 8, 70, 300).to(memory_format=torch.channels_last)
    with mode():
        torch.testing.assert_close(WinogradConv(conv)(x), conv(x), atol=2e-5, rtol=1e-5)
    assert torch.get_num_threads() == 2


def test_what_fails_in_a_strip_is_raised(two_threads):
    done = []

    def work(piece):
        done.append(piece)
        if piece == 3:
            raise RuntimeError("piece 3")

    with pytest.raises(RuntimeError, match="piece 3"):
        strips.each(work, range(8))
    strips.each(done.append, range(8))
    assert sorted(done)[-1] == 7
