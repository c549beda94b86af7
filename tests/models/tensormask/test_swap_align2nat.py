"""swap_align2nat against a literal reading of its definition, and the peer of the benchmark against both."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from tensormask.region import Region
from tensormask.swap_align2nat import OUTSIDE, AlignedMasks, means_of_four
from tests.support import original_tensormask


def literal(x, scale):
    """(V V, H, W) -> (V' V', H', W'): the definition, value by value."""
    side = math.isqrt(x.shape[0])
    height, width = x.shape[1:]
    new = side * scale
    result = torch.zeros(new, new, -(-height // scale), -(-width // scale), dtype=x.dtype)
    for v, u, y, x_ in itertools.product(*map(range, result.shape)):
        places = ((v + 0.5) / scale - 0.5, (u + 0.5) / scale - 0.5,
                  scale * y + v - new / 2 + 0.5, scale * x_ + u - new / 2 + 0.5)  # fmt: skip
        for corner in itertools.product((0, 1), repeat=4):
            at = [math.floor(place) + step for place, step in zip(places, corner, strict=True)]
            weight = math.prod(abs(1 - step - (p - math.floor(p))) for p, step in zip(places, corner, strict=True))
            inside = all(0 <= i < n for i, n in zip(at, (side, side, height, width), strict=True))
            value = x[at[0] * side + at[1], at[2], at[3]] if inside else OUTSIDE
            result[v, u, y, x_] += weight * value
    return result.view(new * new, *result.shape[2:])


@pytest.mark.parametrize(
    ("side", "scale", "size"), [(3, 1, (5, 4)), (2, 1, (4, 5)), (3, 2, (5, 7)), (1, 4, (6, 9)), (3, 4, (9, 6))]
)
def test_the_definition(side, scale, size):
    torch.manual_seed(0)
    g, weight, bias = torch.randn(1, 6, *size), torch.randn(side * side, 6), torch.randn(side * side)
    x = torch.einsum("kc,chw->khw", weight, g[0]) + bias[:, None, None]
    expected = literal(x.double(), scale)
    peer = original_tensormask.swap_align2nat(x[None], scale)[0]
    torch.testing.assert_close(peer.double(), expected, atol=1e-5, rtol=0)
    y, x_ = (v.flatten() for v in torch.meshgrid(*map(torch.arange, expected.shape[1:]), indexing="ij"))
    masks = AlignedMasks(g if scale == 1 else means_of_four(g), weight, bias, scale, Region(0, 0, *size), size)
    for part, logits in masks.at(torch.zeros_like(y), y, x_):
        wanted = expected[:, y[part], x_[part]].t().view(logits.shape)
        torch.testing.assert_close(logits.double(), wanted, atol=1e-5, rtol=0)


def test_chunks_and_a_second_image_change_nothing(monkeypatch):
    torch.manual_seed(0)
    g, weight, bias = torch.randn(2, 4, 8, 8), torch.randn(9, 4), torch.randn(9)
    image, y, x = torch.tensor([0, 1, 1]), torch.tensor([0, 3, 1]), torch.tensor([2, 1, 3])

    def masks():
        return torch.cat(
            [m for _, m in AlignedMasks(means_of_four(g), weight, bias, 2, Region(0, 0, 8, 8), (8, 8)).at(image, y, x)]
        )

    whole = masks()
    monkeypatch.setattr("tensormask.swap_align2nat._CHUNK", 1)
    torch.testing.assert_close(masks(), whole)


def test_gradients():
    torch.manual_seed(0)
    g, weight, bias = (torch.randn(*s, requires_grad=True) for s in ((1, 3, 6, 6), (9, 3), (9,)))
    y, x = torch.tensor([0, 2]), torch.tensor([1, 2])

    def ours():
        found = AlignedMasks(means_of_four(g), weight, bias, 2, Region(0, 0, 6, 6), (6, 6)).at(
            torch.zeros_like(y), y, x
        )
        return torch.cat([logits for _, logits in found])

    values = torch.einsum("kc,nchw->nkhw", weight, g) + bias[:, None, None]
    peer = original_tensormask.swap_align2nat(values, 2)[0, :, y, x].t().reshape(2, 6, 6)
    probe = torch.randn(2, 6, 6)
    for own, other in zip(
        torch.autograd.grad((ours() * probe).sum(), (g, weight, bias)),
        torch.autograd.grad((peer * probe).sum(), (g, weight, bias)),
        strict=True,
    ):
        torch.testing.assert_close(own, other, atol=1e-4, rtol=1e-4)
