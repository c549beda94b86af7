"""The nets: names, shapes, parameter groups."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
import torch
import torchvision

from dextr import architectures
from dextr.architectures.blocks import DecoderBlock
from dextr.architectures.deeplab import dextr_deeplab3
from dextr.architectures.denseunet import dextr_denseunet161
from dextr.architectures.resunet import dextr_resunet50, dextr_resunet101, resunet

STATE_DICTS = Path(__file__).resolve().parents[2] / "golden" / "dextr" / "state_dicts.txt.gz"
FACTORIES = {
    "resunet50": dextr_resunet50,
    "resunet101": dextr_resunet101,
    "denseunet161": dextr_denseunet161,
    "deeplab3": dextr_deeplab3,
}


def published(name):
    """Rows of name, type, group, shape: the state dict of the original's net."""
    text = gzip.decompress(STATE_DICTS.read_bytes()).decode()
    section = text.split(f"## {name}:")[1].split("##")[0]
    return [line.split() for line in section.splitlines()[1:] if line]


def meta(make, *args):
    with torch.device("meta"):
        return make(*args)


@pytest.mark.parametrize("name", FACTORIES)
def test_state_dicts_and_groups_are_the_originals(name):
    net = meta(architectures.build, name)
    groups = {id(p): "pre" for p in net.pretrained_parameters} | {id(p): "new" for p in net.new_parameters}
    tensors = net.state_dict(keep_vars=True)
    rows = [
        [key, str(t.dtype)[6:], groups.get(id(t), "buf"), "x".join(map(str, t.shape)) or "scalar"]
        for key, t in tensors.items()
    ]
    assert rows == published(name)


@pytest.mark.parametrize("name", architectures.NAMES)
def test_every_parameter_is_in_one_group(name):
    net = meta(architectures.build, name)
    grouped = [id(p) for p in (*net.pretrained_parameters, *net.new_parameters)]
    assert sorted(grouped) == sorted(id(p) for p in net.parameters())
    assert architectures.name_of(net) == name


@pytest.mark.parametrize("name", architectures.NAMES)
def test_number_of_classes(name):
    net = meta(architectures.build, name, 3)
    assert architectures.num_classes_of(net.state_dict()) == 3
    assert net.eval()(torch.empty(2, 4, 64, 96, device="meta"))["out"].shape == (2, 3, 64, 96)


def test_deeplab_has_an_auxiliary_output_and_takes_any_size():
    net = meta(architectures.build, "deeplab3").eval()
    out = net(torch.empty(1, 4, 50, 70, device="meta"))
    assert list(out) == ["out", "aux"]
    assert out["out"].shape == out["aux"].shape == (1, 1, 50, 70)


@pytest.mark.parametrize("name", ["resunet50", "denseunet161", "mobileunet"])
@pytest.mark.parametrize("size", [(64, 80), (48, 64)])
def test_sizes_that_cannot_be_halved(name, size):
    net = meta(architectures.build, name)
    with pytest.raises(ValueError, match=f"{size[0]} x {size[1]}"):
        net(torch.empty(1, 4, *size, device="meta"))


def test_resunet_of_any_blocks():
    net = meta(architectures.build, "resunet-1-2-1-3")
    assert net.blocks == (1, 2, 1, 3)
    assert architectures.name_of(net) == "resunet-1-2-1-3"


@pytest.mark.parametrize("name", ["resnet50", "", "resunet-1-1-1", "resunet-0-1-1-1"])
def test_unknown_names(name):
    with pytest.raises(ValueError, match="resunet50, resunet101"):
        architectures.build(name)


def test_a_net_of_somebody_else_has_no_name():
    with pytest.raises(ValueError, match="Linear"):
        architectures.name_of(torch.nn.Linear(1, 1))


def test_backbone_weights_from_a_file(tmp_path):
    torch.manual_seed(3)
    backbone = torchvision.models.resnet50(weights=None)
    torch.save(backbone.state_dict(), tmp_path / "resnet50.pth")
    net = dextr_resunet50(backbone_weights=tmp_path / "resnet50.pth")
    stem = net.base_model.conv1
    assert (stem.in_channels, stem.weight.shape) == (4, (64, 4, 7, 7))
    assert stem.weight.requires_grad
    assert torch.equal(stem.weight[:, :3], backbone.conv1.weight)
    assert 0 < stem.weight[:, 3].abs().max() <= 1 / 14
    assert torch.equal(net.base_model.layer4[2].conv3.weight, backbone.layer4[2].conv3.weight)


def test_a_decoder_block_adds_equal_channels():
    with pytest.raises(ValueError, match="8 and 4"):
        DecoderBlock(8, 4, 2)
    with pytest.raises(ValueError, match="8 and 4"):
        DecoderBlock(8, 8, 2)(torch.zeros(1, 8, 4, 4), torch.zeros(1, 4, 8, 8))


def test_nets_can_be_trained():
    net = resunet((1, 1, 1, 1))
    net(torch.randn(2, 4, 32, 32))["out"].sum().backward()
    used = [p for name, p in net.named_parameters() if not name.startswith("base_model.fc")]
    assert all(p.grad is not None for p in used)
