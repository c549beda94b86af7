"""Weights in every form that the original and ImageNet's come in, and files that are none."""

from __future__ import annotations

import collections
import os
import pickle
import subprocess

import numpy as np
import pytest
import torch

from maskworks_torch.numpy_stand_ins import encode
from tensormask import caffe2_names, checkpoints
from tensormask.config import Config
from tensormask.errors import CheckpointError, UnsafeCheckpointError
from tensormask.model import TensorMask
from tensormask.network import build
from tests.support.peak_memory import peak_memory


@pytest.fixture(scope="module")
def weights(original):
    return checkpoints.read(original.weights)


@pytest.fixture
def net(original):
    net = build(Config.from_file(original.config))
    for value in net.state_dict().values():
        value.zero_()
    return net


def arrays(weights):
    return {name: value.numpy() for name, value in weights.items()}


def same(net, weights, names=None):
    state = net.state_dict()
    assert all(torch.equal(state[name], weights[name]) for name in (names or state))


def test_names_and_shapes_of_the_real_model(original):
    net = build(Config.from_file(original.folder / "configs" / "tensormask_R_50_FPN_6x.yaml"))
    lines = [line.split(" ", 1) for line in (original.folder / "state_dict.txt").read_text().splitlines()]
    expected = {name: rest[: rest.index(")") + 1] for name, rest in lines if name[0] != "#"}
    assert {name: str(tuple(value.shape)) for name, value in net.state_dict().items()} == expected
    assert len(expected) == 319


@pytest.mark.parametrize(("depth", "count"), [(101, 574), (50, 319)])
def test_other_depths(original, depth, count):
    config = Config.from_file(original.folder / "configs" / "Base-TensorMask.yaml", ["MODEL.RESNETS.DEPTH", str(depth)])
    assert len(build(config).state_dict()) == count


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_zoo_files(net, weights, tmp_path, protocol):
    content = {**arrays(weights), "anchor_generator.cell_anchors.0": np.zeros((2, 4), np.float32)}
    content["pixel_mean"] = np.zeros((3, 1, 1), np.float32)
    content["backbone.fpn_lateral2.weight"] = np.asfortranarray(content["backbone.fpn_lateral2.weight"]).astype(">f4")
    path = tmp_path / "zoo.pkl"
    path.write_bytes(pickle.dumps({"model": content, "__author__": "zoo"}, protocol=protocol))
    checkpoints.load(net, path)
    same(net, weights)


def test_files_of_a_training(net, weights, tmp_path):
    for number, content in enumerate((
        {"model": weights, "iteration": 7, "optimizer": {"state": {}}},
        dict(weights),
        {"model": {f"module.{name}": value for name, value in weights.items()}},
        {name: value.double() for name, value in weights.items()},
    )):  # fmt: skip
        torch.save(content, tmp_path / f"{number}.pth")
        checkpoints.load(net, tmp_path / f"{number}.pth")
        same(net, weights)
    torch.save({"model": weights}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    checkpoints.load(net, tmp_path / "old.pth")
    same(net, weights)


def test_own_files(original, net, weights, tmp_path):
    checkpoints.load(net, original.weights)
    checkpoints.save(net, tmp_path / "own.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["own.safetensors"]
    assert all(
        torch.equal(value, weights[name]) for name, value in checkpoints.read(tmp_path / "own.safetensors").items()
    )


@pytest.mark.parametrize("blobs", [False, True])
def test_imagenet_weights_of_caffe2(original, net, weights, tmp_path, blobs):
    given = (original.folder / "caffe2_names.txt").read_text().split()
    ours = {name: f"backbone.bottom_up.{caffe2_names.convert(name)}" for name in given}
    content = {name: weights.get(own, torch.zeros(1)).numpy() for name, own in ours.items()}
    path = tmp_path / "imagenet.pkl"
    path.write_bytes(pickle.dumps({"blobs": content} if blobs else content, protocol=2))
    missing = checkpoints.load_pretrained(net, path)
    backbone = [name for name in weights if name.startswith("backbone.bottom_up.")]
    assert len(backbone) == 265
    same(net, weights, backbone)
    assert set(missing) == set(net.state_dict()) - set(backbone)


def test_detectron_files_have_no_statistics(net, weights, tmp_path):
    names = {
        "conv1_w": "stem.conv1.weight",
        "res_conv1_bn_s": "stem.conv1.norm.weight",
        "res_conv1_bn_b": "stem.conv1.norm.bias",
    }
    content = {old: weights[f"backbone.bottom_up.{new}"].numpy() for old, new in names.items()}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content, protocol=2))
    checkpoints.load_pretrained(net, tmp_path / "a.pkl")
    norm = net.backbone.bottom_up.stem.conv1.norm
    assert torch.equal(norm.running_var, torch.ones(8))
    assert torch.equal(norm.running_mean, torch.zeros(8))
    assert torch.equal(norm.bias, weights["backbone.bottom_up.stem.conv1.norm.bias"])


def test_the_number_of_classes_is_wrong(original, tmp_path):
    config = tmp_path / "own.yaml"
    config.write_text(f"_BASE_: {original.config}\nMODEL: {{TENSOR_MASK: {{NUM_CLASSES: 80}}}}\n")
    with pytest.raises(CheckpointError, match=r"head.cls_score.weight: \(6, 16, 3, 3\), expected \(160, 16, 3, 3\)"):
        TensorMask.from_files(config, original.weights)


def test_another_network(net, weights, tmp_path):
    torch.save({name: value for name, value in weights.items() if "mask" not in name}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match=r"weights are missing, the first is head\.mask_subnet"):
        checkpoints.load(net, tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (["MODEL.RESNETS.DEPTH", "101"], r"255 weights .*res4\.6\.conv1"),
        (["MODEL.TENSOR_MASK.NUM_CONVS", "3"], r"6 weights .*head\.cls_subnet\.4\.weight"),
        (["MODEL.MASK_ON", "False"], None),
    ],
)
def test_a_larger_network(original, net, tmp_path, other, words):
    """A file is loaded whole or not at all; only masks may be left out."""
    larger, smaller = (build(Config.from_file(original.config, values)) for values in (other, []))
    if words is None:
        larger, smaller = smaller, larger
    state = {name: torch.ones_like(value) for name, value in larger.state_dict().items()}
    state["backbone.bottom_up.stem.conv1.norm.num_batches_tracked"] = torch.tensor(3)
    torch.save({"model": state}, tmp_path / "larger.pth")
    if words is None:
        checkpoints.load(smaller, tmp_path / "larger.pth")
        same(smaller, state)
    else:
        with pytest.raises(CheckpointError, match=words):
            checkpoints.load(smaller, tmp_path / "larger.pth")


class Evil:
    """A pickle that would create a file."""

    def __init__(self, call, *args):
        self.answer = call, args

    def __reduce__(self):
        return self.answer


def evil(path):
    yield pickle.dumps({"model": Evil(os.system, f"touch {path}"), "__author__": "x"}, protocol=2), "posix.system"
    yield pickle.dumps(Evil(subprocess.Popen, ["touch", str(path)]), protocol=4), "subprocess.Popen"
    yield pickle.dumps(Evil(eval, f"open({str(path)!r}, 'w')"), protocol=4), "builtins.eval"
    yield pickle.dumps(Evil(getattr, "text", "upper"), protocol=4), "builtins.getattr"
    yield b"cnumpy\nsave\n(S'" + str(path).encode() + b"'\nI1\ntR.", None
    yield b"\x80\x02cnumpy\nsave\n(X\x01\x00\x00\x00aI1\ntR.", "numpy.save"


def test_nothing_is_run(tmp_path):
    for number, (data, offender) in enumerate(evil(tmp_path / "executed")):
        for name in (f"{number}.pkl", f"{number}.pth"):
            (tmp_path / name).write_bytes(data)
            with pytest.raises(CheckpointError) as error:
                checkpoints.read(tmp_path / name)
            assert offender is None or (isinstance(error.value, UnsafeCheckpointError) and offender in str(error.value))
    torch.save({"model": Evil(os.system, f"touch {tmp_path / 'executed'}")}, tmp_path / "zip.pth")
    with pytest.raises(UnsafeCheckpointError, match="system"):
        checkpoints.read(tmp_path / "zip.pth")
    assert not (tmp_path / "executed").exists()


def test_a_pickle_cannot_change_numpy(tmp_path):
    # numpy's own float32, told to be big-endian from now on.
    state = b"(K\x03X\x01\x00\x00\x00>NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    data = b"\x80\x02}X\x01\x00\x00\x00acnumpy\ndtype\n(X\x02\x00\x00\x00f4K\x00K\x00tR" + state + b"s."
    (tmp_path / "a.pkl").write_bytes(data)
    with pytest.raises(CheckpointError):
        checkpoints.read(tmp_path / "a.pkl")
    assert np.dtype("f4").isnative


def zoo(value):
    return pickle.dumps({"model": {"a": value}, "__author__": "x"})


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\x80", b"hello", b"PK\x03\x04broken", b"\x80\x02.", b"\x08" + bytes(7) + b"{broken!",
        pickle.dumps([1]), pickle.dumps({}), pickle.dumps(collections.OrderedDict(a=1)),
        zoo("text"), zoo(np.array([{}])), zoo(np.zeros(2, "S3")),
    ],
)  # fmt: skip
def test_files_that_are_none(tmp_path, content):
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"a\.pkl"):
        checkpoints.read(tmp_path / "a.pkl")


def test_truncated_files(weights, tmp_path):
    small = dict(list(weights.items())[:20])
    torch.save({"model": small}, tmp_path / "a.pth")
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"model": arrays(small), "__author__": "x"}))
    for name in ("a.pth", "a.pkl"):
        whole = (tmp_path / name).read_bytes()
        for share in (0.1, 0.5, 0.9, 0.999):
            (tmp_path / f"cut-{name}").write_bytes(whole[: int(share * len(whole))])
            with pytest.raises(CheckpointError):
                checkpoints.read(tmp_path / f"cut-{name}")
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoints.read(tmp_path / "nowhere.pth")


@pytest.mark.parametrize(
    "value",
    [b"Nr\x00\x00\x80\x00", b"Np8388608\n", b"\x96\x00\x00\x00\x08\x00\x00\x00\x00"],
    ids=["number of a value", "the same as text", "length of bytes"],
)
def test_a_few_bytes_cannot_take_much_memory(tmp_path, value):
    """Each announces more than 100 MB, which Python's reader in C would take at once."""
    (tmp_path / "a.pkl").write_bytes(b"\x80\x05}X\x01\x00\x00\x00a" + value + b"s.")
    with peak_memory() as peak:
        with pytest.raises(CheckpointError):
            checkpoints.read(tmp_path / "a.pkl")
        assert peak() < 1e6


def reduced(name, arguments, state):
    """A pickle of what a function makes of its arguments, with a state."""
    module, _, function = name.rpartition(".")
    return f"c{module}\n{function}\n".encode() + arguments + b"R" + state + b"b"


@pytest.mark.parametrize(
    "value",
    [
        # Flags that say that numbers are addresses of objects.
        reduced("numpy.dtype", b"(X\x02\x00\x00\x00f8K\x00K\x01t", b"(K\x03X\x01\x00\x00\x00<NNNK\x08K\x08K\x3ft"),
        reduced("numpy.dtype", b"(X\x02\x00\x00\x00,4K\x00K\x01t", b"(K\x03X\x01\x00\x00\x00<t"),
        # The functions of the table themselves.
        b"c_codecs\nencode\n}X\x01\x00\x00\x00aK\x01sb",
        b"c_codecs\nencode\nN}X\x0c\x00\x00\x00__defaults__(K\x01K\x02ts\x86b",
    ],
    ids=["flags", "types with commas", "attribute", "defaults"],
)
def test_a_pickle_cannot_change_what_reads_it(tmp_path, value):
    (tmp_path / "a.pkl").write_bytes(b"\x80\x02}X\x01\x00\x00\x00a" + value + b"s.")
    with pytest.raises(CheckpointError):
        checkpoints.read(tmp_path / "a.pkl")
    assert encode.__defaults__ == ("latin1",)
    assert encode.__dict__ == {}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_flags_of_a_type_do_not_count(tmp_path, protocol):
    data = pickle.dumps({"a": np.arange(3, dtype=">f8")}, protocol)
    flags = b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00"
    assert data.count(flags) == 1
    (tmp_path / "a.pkl").write_bytes(data.replace(flags, flags[:-1] + b"\x3f"))
    assert checkpoints.read(tmp_path / "a.pkl")["a"].tolist() == [0, 1, 2]
