"""The MobileUNet: shapes, parameters, gradients, backbone weights."""

import pytest
import torch
from torchvision.models import mobilenet_v3_small

from dextr.architectures import build, name_of, num_classes_of
from dextr.architectures.mobileunet import dextr_mobileunet


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return build("mobileunet").eval()


@pytest.mark.parametrize(("batch", "height", "width"), [(1, 256, 256), (2, 32, 96), (1, 128, 64)])
def test_gives_a_logit_for_each_pixel(net, batch, height, width):
    with torch.no_grad():
        out = net(torch.zeros(batch, 4, height, width))
    assert list(out) == ["out"]
    assert out["out"].shape == (batch, 1, height, width)


def test_number_of_classes():
    net = dextr_mobileunet(3, backbone_weights=None)
    assert net(torch.zeros(2, 4, 64, 64))["out"].shape == (2, 3, 64, 64)
    assert num_classes_of(net.state_dict()) == 3


def test_refuses_sizes_that_cannot_be_halved_five_times(net):
    with pytest.raises(ValueError, match="48 x 64"):
        net(torch.zeros(1, 4, 48, 64))


def test_is_small_and_known_by_its_name(net):
    assert sum(p.numel() for p in net.parameters()) < 1_100_000
    assert name_of(net) == "mobileunet"


def test_every_parameter_is_in_one_group_and_learns(net):
    net.train()
    torch.manual_seed(1)
    net(torch.randn(2, 4, 64, 64))["out"].square().mean().backward()
    pretrained, new = net.pretrained_parameters, net.new_parameters
    assert {*map(id, pretrained), *map(id, new)} == set(map(id, net.parameters()))
    assert len(pretrained) + len(new) == len(list(net.parameters()))
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in net.parameters())


def test_every_input_pixel_and_channel_counts(net):
    # Half of the detail comes through the folded input; a mistake in the folding would leave pixels without influence.
    net.eval()
    x = torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(2)).requires_grad_()
    net(x)["out"].square().sum().backward()
    assert bool((x.grad != 0).all())


def test_takes_backbone_weights_for_the_colours_and_leaves_the_heat_map(tmp_path):
    torch.manual_seed(3)
    weights = mobilenet_v3_small(weights=None).state_dict()
    torch.save(weights, tmp_path / "weights.pth")
    base = dextr_mobileunet(backbone_weights=tmp_path / "weights.pth").base_model.state_dict()
    assert torch.equal(base["0.0.weight"][:, :3], weights["features.0.0.weight"])
    assert bool(base["0.0.weight"][:, 3].abs().sum() > 0)
    others = [name for name in base if name != "0.0.weight"]
    assert len(others) > 200
    assert all(torch.equal(base[name], weights[f"features.{name}"]) for name in others)
