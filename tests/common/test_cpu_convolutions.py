"""Convolutions for CPUs: the same results as torch's own, for every size, with and without what is fused in."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from maskworks_torch.cpu_operators.convolution import fast_conv
from maskworks_torch.cpu_operators.packed_conv import PackedConv, supports
from maskworks_torch.cpu_operators.winograd import WinogradConv, pays_off
from tests.support.torch_threads import torch_threads

SIZES = [(1, 1), (1, 3), (4, 4), (4, 5), (17, 22), (50, 67)]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(5)


@pytest.fixture(params=[1, 2])
def _threads(request):
    with torch_threads(request.param):
        yield


def channels_last(*size):
    return torch.randn(*size).contiguous(memory_format=torch.channels_last)


def packed(conv, activation):
    return PackedConv(conv, (1, conv.in_channels, 16, 16), activation)


def winograd(conv, activation):
    return WinogradConv(conv, relu=activation == "relu")


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("activation", ["none", "relu"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", [winograd, packed])
def test_it_is_the_convolution(kind, size, activation, residual, bias):
    conv = nn.Conv2d(24, 16, 3, padding=1, bias=bias)
    x, other = channels_last(2, 24, *size), channels_last(2, 16, *size) if residual else None
    with torch.inference_mode():
        expected = conv(x) if other is None else conv(x) + other
        expected = F.relu(expected) if activation == "relu" else expected
        actual = kind(conv, activation)(x, other)
    torch.testing.assert_close(actual, expected, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("geometry", [{"stride": 2}, {"dilation": 2}, {"groups": 8}, {"padding": 0}])
def test_packed_convolutions_of_every_geometry(geometry):
    conv = nn.Conv2d(8, 16, 3, **{"padding": 1, **geometry})
    x = channels_last(2, 8, 13, 9)
    with torch.inference_mode():
        torch.testing.assert_close(packed(conv, "hardswish")(x), F.hardswish(conv(x)), atol=1e-5, rtol=1e-5)


def test_padding_by_name():
    with pytest.raises(ValueError, match="same"):
        packed(nn.Conv2d(8, 8, 3, padding="same"), "none")


@pytest.mark.usefixtures("_threads")
def test_winograd_in_many_strips():
    conv = nn.Conv2d(8, 8, 3, padding=1)
    x = channels_last(2, 8, 70, 300)
    with torch.no_grad():
        torch.testing.assert_close(WinogradConv(conv, relu=True)(x), F.relu(conv(x)), atol=2e-5, rtol=1e-5)


def test_where_winograd_pays_off():
    assert pays_off(nn.Conv2d(256, 256, 3, padding=1))
    assert pays_off(nn.Conv2d(128, 128, 3, padding=1))
    assert not pays_off(nn.Conv2d(64, 64, 3, padding=1))
    for other in ({"stride": 2}, {"dilation": 2}, {"groups": 2}):
        assert not pays_off(nn.Conv2d(256, 256, 3, padding=1, **other))
    assert not pays_off(nn.Conv2d(256, 256, 3))
    assert not pays_off(nn.Conv2d(256, 256, 1))


@pytest.mark.parametrize(
    ("capability", "expected"),
    [("AVX2", WinogradConv), ("DEFAULT", WinogradConv), ("SVE256", WinogradConv), ("AVX512", PackedConv)],
)
def test_winograd_is_for_cpus_without_avx512(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    conv, size = nn.Conv2d(128, 128, 3, padding=1), (1, 128, 16, 16)
    x = channels_last(*size)
    with torch.inference_mode():
        assert isinstance(fast_conv(conv, size, "relu"), expected)
        torch.testing.assert_close(fast_conv(conv, size, "relu")(x), F.relu(conv(x)), atol=2e-5, rtol=1e-5)
        assert isinstance(fast_conv(conv, size, "none"), expected)
        assert isinstance(fast_conv(conv, size, "hardswish"), PackedConv)
        assert isinstance(fast_conv(conv, size, "relu", residual=True), PackedConv)
        assert isinstance(fast_conv(nn.Conv2d(64, 64, 3, padding=1), (1, 64, 16, 16), "relu"), PackedConv)


def test_winograd_is_for_float32_only(monkeypatch):
    if not supports(torch.bfloat16):
        pytest.skip("no bfloat16 on this CPU")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    conv = nn.Conv2d(128, 128, 3, padding=1).bfloat16()
    assert isinstance(fast_conv(conv, (1, 128, 16, 16), "relu"), PackedConv)


def test_float32_alone_is_supported():
    assert supports(torch.float32) == torch.backends.mkldnn.is_available()
    assert not supports(torch.float64)
