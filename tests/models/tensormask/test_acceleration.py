"""What a network becomes for inference."""

from __future__ import annotations

import pytest
import torch

from maskworks_torch.cpu_operators import packed_conv
from maskworks_torch.cpu_operators.packed_conv import PackedConv
from tensormask.acceleration import prepare
from tensormask.convolution import Conv


@torch.no_grad()
def test_folded_networks_compute_the_same():
    torch.manual_seed(0)
    conv = Conv(8, 8, 3, norm="FrozenBN", relu=True)
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
