"""Checkpoints of all ages, and those that want to run code."""

import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from maskworks.errors import CheckpointError, UnsafeCheckpoint
from maskworks_mmdet.checkpoints import allowed_globals, apply_weights, read_checkpoint
from maskworks_torch.checkpoints import load_content
from tests.support.mmdet_school import NEEDS_MMDET


def net():
    torch.manual_seed(0)
    return nn.Sequential(OrderedDict(backbone=nn.Conv2d(3, 4, 3), norm=nn.BatchNorm2d(4)))


def loads(path, **options):
    """The weights of a file are those of `net`."""
    model = net()
    for value in model.parameters():
        nn.init.zeros_(value)
    checkpoint = read_checkpoint(path, **options)
    assert apply_weights(model, checkpoint, path) == []
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), net().state_dict().values(), strict=True))
    return checkpoint


def other():
    return OrderedDict((key, value + 1) for key, value in net().state_dict().items())


FORMS = {
    "state_dict alone": lambda w: w,
    "MMDetection 3": lambda w: {
        "state_dict": w,
        "meta": {"dataset_meta": {"classes": ("a", "b"), "palette": [(1, 2, 3)]}},
    },
    "MMDetection 3, upper case": lambda w: {"state_dict": w, "meta": {"dataset_meta": {"CLASSES": ["a", "b"]}}},
    "MMDetection 2": lambda w: {"state_dict": w, "meta": {"CLASSES": ("a", "b"), "epoch": 3}, "optimizer": {}},
    "under model": lambda w: {"model": w},
    "several GPUs": lambda w: {"state_dict": {f"module.{key}": value for key, value in w.items()}},
    "compiled": lambda w: {"state_dict": {f"_orig_mod.{key}": value for key, value in w.items()}},
    "EMA of MMEngine": lambda w: {"state_dict": w, "ema_state_dict": {f"module.{k}": v for k, v in other().items()}},
    "EMA alone": lambda w: {"ema_state_dict": {"steps": torch.tensor(3), **{f"module.{k}": v for k, v in w.items()}}},
    "EMA of MMDetection 2": lambda w: {"state_dict": {**w, **{f"ema_{k.replace('.', '_')}": v for k, v in w.items()}}},
    "with numpy": lambda w: {"state_dict": w, "meta": {"seed": np.int64(3), "mean": np.ones(3), "m": np.float32(1)}},
}


@pytest.mark.parametrize("form", FORMS)
def test_checkpoints_of_every_form_are_read(tmp_path, form):
    path = tmp_path / "c.pth"
    torch.save(FORMS[form](net().state_dict()), path)
    if form == "EMA alone":
        checkpoint = read_checkpoint(path)
        assert apply_weights(net(), checkpoint, path) == ["steps"]
        return
    checkpoint = loads(path)
    assert checkpoint.classes == (("a", "b") if form.startswith("MMDetection") else None)


def test_the_format_before_zip(tmp_path):
    torch.save({"state_dict": net().state_dict()}, tmp_path / "c.pth", _use_new_zipfile_serialization=False)
    loads(tmp_path / "c.pth")


def test_safetensors(tmp_path):
    save_file(net().state_dict(), tmp_path / "c.safetensors")
    loads(tmp_path / "c.safetensors")


@pytest.mark.slow("builds detectors")
@NEEDS_MMDET
def test_the_log_of_mmengine_is_no_obstacle(tmp_path, mmdet):
    from mmengine.logging import HistoryBuffer

    log = {"log_scalars": {"loss": HistoryBuffer([1.0, 2.0], [1, 1])}, "runtime_info": {"best": np.float64(0.3)}}
    torch.save({"state_dict": net().state_dict(), "meta": {}, "message_hub": log}, tmp_path / "c.pth")
    loads(tmp_path / "c.pth")


class Evil:
    def __reduce__(self):
        return os.mkdir, (str(Evil.target),)


def test_code_is_refused_and_not_run(tmp_path, caplog):
    path, Evil.target = tmp_path / "c.pth", tmp_path / "ran"
    torch.save({"state_dict": net().state_dict(), "meta": {"x": Evil()}}, path)
    with pytest.raises(UnsafeCheckpoint, match=r"posix\.mkdir.*--unsafe_load"):
        read_checkpoint(path)
    assert not Evil.target.exists()
    loads(path, unsafe=True)
    assert Evil.target.exists()
    assert "code in it runs" in caplog.text


class ByName:
    def __reduce__(self):
        return getattr, ("text", "upper")


def test_getattr_gets_nothing(tmp_path):
    """Training logs of MMEngine ask for `getattr`; it is answered, but not with what was asked for."""
    torch.save({"x": ByName()}, tmp_path / "c.pth")
    assert not callable(load_content(tmp_path / "c.pth", allowed=allowed_globals())["x"])


@pytest.mark.parametrize(
    "content", [[1, 2], {}, {"state_dict": {}}, {"meta": {"CLASSES": ("a",)}}, "text"], ids=lambda c: str(c)[:20]
)
def test_without_weights(tmp_path, content):
    torch.save(content, tmp_path / "c.pth")
    with pytest.raises(CheckpointError, match="holds no weights"):
        read_checkpoint(tmp_path / "c.pth")


def test_broken_and_missing_files(tmp_path):
    torch.save(net().state_dict(), tmp_path / "c.pth")
    (tmp_path / "half.pth").write_bytes((tmp_path / "c.pth").read_bytes()[:1000])
    for name in ("half.pth", "none.pth"):
        with pytest.raises(CheckpointError, match=name):
            read_checkpoint(tmp_path / name)


def test_what_does_not_fit_is_an_error(tmp_path):
    path = tmp_path / "c.pth"
    torch.save(nn.Sequential(OrderedDict(backbone=nn.Conv2d(3, 5, 3), norm=nn.BatchNorm2d(5))).state_dict(), path)
    with pytest.raises(CheckpointError, match=r"does not fit --config: size mismatch for backbone\.weight"):
        apply_weights(net(), read_checkpoint(path), path)
    torch.save({"backbone.weight": torch.zeros(4, 3, 3, 3)}, path)
    with pytest.raises(CheckpointError, match=r"no weights for backbone\.bias, and \d+ more"):
        apply_weights(net(), read_checkpoint(path), path)


def test_weights_without_a_place_are_named(tmp_path):
    path = tmp_path / "c.pth"
    torch.save({**net().state_dict(), "head.weight": torch.ones(1)}, path)
    assert apply_weights(net(), read_checkpoint(path), path) == ["head.weight"]


def test_types_of_numpy_cannot_be_forged(tmp_path, capfd):
    """The log may hold arrays; flags that say that their numbers are addresses do no harm."""
    data = pickle.dumps({"state_dict": {}, "meta": {"log": np.arange(3, dtype=">f8")}}, 2)
    flags = b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00"
    assert data.count(flags) == 1
    with zipfile.ZipFile(tmp_path / "c.pth", "w") as archive:
        archive.writestr("archive/data.pkl", data.replace(flags, flags[:-1] + b"\x3f"))
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
    content = load_content(tmp_path / "c.pth", allowed=allowed_globals())
    assert content["meta"]["log"].tolist() == [0, 1, 2]
    del content
    assert "Internal error" not in capfd.readouterr().err
