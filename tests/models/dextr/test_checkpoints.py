"""Model files: the original's, ours, those of other models, and those that would run code."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torchvision.models.segmentation.deeplabv3 import DeepLabV3

from dextr import architectures
from dextr.architectures.blocks import DecoderBlock
from dextr.checkpoint_files import checkpoints
from dextr.data_pipeline.dextr_transforms import DextrCropWithHeatmapTransform, DextrNormalize, DextrToTensor
from dextr.errors import CheckpointError, UnsafeCheckpointError
from dextr.model import DextrModel

POINTS = [[5, 30], [50, 32], [30, 4], [28, 60]]


@pytest.fixture(scope="module")
def photo():
    return np.random.default_rng(2).integers(0, 256, (60, 70, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(11)
    model = DextrModel(architectures.build("mobileunet"), (64, 96), 7, 6.5)
    model.eval()
    return model


def assert_equal(actual, expected):
    assert (actual.target_size_yx, actual.padding, actual.blob_sigma) == (
        expected.target_size_yx,
        expected.padding,
        expected.blob_sigma,
    )
    assert type(actual.net) is type(expected.net)
    states = actual.net.state_dict(), expected.net.state_dict()
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(a, b) for a, b in zip(*(state.values() for state in states), strict=True))


@pytest.mark.parametrize(("letter", "other"), [("a", "model_a_zip"), ("b", "model_b_zip")])
def test_the_originals_files_hold_the_same_in_both_formats(original, models, letter, other):
    model = DextrModel.from_file(original.file(other))
    assert_equal(model, models[letter])
    settings = original.settings[letter]
    assert (list(model.target_size_yx), model.padding, model.blob_sigma) == tuple(settings.values())
    assert model.net.blocks == (1, 1, 1, 1)
    assert not model.net.training
    assert all(parameter.requires_grad for parameter in model.net.parameters())
    assert len(model.net.pretrained_parameters) + len(model.net.new_parameters) == len(list(model.net.parameters()))


@pytest.mark.slow("computes with a network")
@pytest.mark.parametrize("name", architectures.NAMES)
@pytest.mark.parametrize("legacy", [False, True])
def test_whole_pickles_of_every_net(name, legacy, tmp_path):
    saved = DextrModel(architectures.build(name), (64, 64), 10, 10.0)
    torch.save(saved, tmp_path / "model.pth", _use_new_zipfile_serialization=not legacy)
    assert_equal(DextrModel.from_file(tmp_path / "model.pth"), saved)


@pytest.mark.slow("computes with a network")
@pytest.mark.parametrize("name", ["denseunet161", "deeplab3", "resunet50"])
def test_classes_where_the_original_has_them(name, tmp_path, monkeypatch):
    saved = DextrModel(architectures.build(name), (64, 64), 10, 10.0)
    monkeypatch.setattr(DecoderBlock, "__module__", type(saved.net).__module__)
    if name == "deeplab3":
        saved.net.__class__ = DeepLabV3
    torch.save(saved, tmp_path / "model.pth")
    assert architectures.name_of(DextrModel.from_file(tmp_path / "model.pth").net) == name


def test_whole_pickles_with_the_transforms_of_a_user(model, tmp_path):
    model.note = [DextrCropWithHeatmapTransform((64, 96), 7), DextrToTensor(), DextrNormalize()]
    torch.save(model, tmp_path / "model.pth")
    del model.note
    assert_equal(DextrModel.from_file(tmp_path / "model.pth"), model)


def test_an_old_pickle_also_works_as_a_pickle(original, models):
    with pytest.warns(torch.serialization.SourceChangeWarning):
        model = torch.load(original.file("model_a_legacy"), weights_only=False)
    case = original.cases["p02"]
    image, points = original.input(case)
    np.testing.assert_array_equal(model.predict([image], [points])[0], models["a"].predict([image], [points])[0])


def test_safetensors(model, photo, tmp_path):
    model.save(tmp_path / "model.safetensors")
    loaded = DextrModel.from_file(str(tmp_path / "model.safetensors"), map_location=torch.device("cpu"))
    assert_equal(loaded, model)
    np.testing.assert_array_equal(loaded.predict([photo], [POINTS])[0], model.predict([photo], [POINTS])[0])
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_half_precision_file(model, photo, tmp_path):
    model.save(tmp_path / "full.safetensors")
    model.save(tmp_path / "half.safetensors", dtype=torch.float16)
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("full", "half")]
    assert sizes[1] < 0.55 * sizes[0]
    loaded = DextrModel.from_file(tmp_path / "half.safetensors")
    assert next(loaded.net.parameters()).dtype == torch.float32
    assert np.abs(loaded.predict([photo], [POINTS])[0] - model.predict([photo], [POINTS])[0]).max() < 0.02


def test_a_model_loaded_from_an_original_is_saved_as_ours(models, tmp_path):
    models["b"].save(tmp_path / "b.safetensors")
    loaded = DextrModel.from_file(tmp_path / "b.safetensors")
    assert_equal(loaded, models["b"])
    assert checkpoints.load(tmp_path / "b.safetensors").arch == "resunet-1-1-1-1"


@pytest.mark.parametrize("legacy", [False, True])
def test_training_checkpoints(model, tmp_path, legacy):
    optimizer = torch.optim.SGD(model.net.parameters(), lr=0.1, momentum=0.9)
    model.net(torch.randn(2, 4, 64, 64))["out"].sum().backward()
    optimizer.step()
    values = {
        **model.checkpoint().as_dict(),
        "epoch": 3,
        "optimizer": optimizer.state_dict(),
        "rng": torch.get_rng_state(),
    }
    torch.save(values, tmp_path / "job.pth", _use_new_zipfile_serialization=not legacy)
    assert_equal(DextrModel.from_file(tmp_path / "job.pth"), model)
    assert torch.load(tmp_path / "job.pth", weights_only=True)["epoch"] == 3


class Touch:
    """Unpickling this makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


class Evaluate(Touch):
    def __reduce__(self):
        return eval, (f"open({str(self.path)!r}, 'w')",)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize(("kind", "offender"), [(Touch, f"{os.name}.system"), (Evaluate, "__builtin__.eval")])
def test_code_is_refused_by_name_and_not_run(tmp_path, model, legacy, kind, offender):
    evil, path = kind(tmp_path / "run"), tmp_path / "evil.pth"
    for value in (evil, {**model.checkpoint().as_dict(), "optimizer": [evil]}):
        torch.save(value, path, _use_new_zipfile_serialization=not legacy)
        with pytest.raises(UnsafeCheckpointError, match="Nothing was run") as caught:
            DextrModel.from_file(path)
    assert caught.value.offender == offender
    assert caught.value.offender in str(caught.value)
    assert str(path) in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_hostile_file_leaves_nothing_behind_for_the_next_one(tmp_path, models, original):
    # GLOBAL, then BUILD with (None, {name: value}), sets attributes of a class.
    program = b"\x80\x02cdextr.model\nDextrModel\n(N}X\x04\x00\x00\x00kindX\x04\x00\x00\x00evilstb."
    with zipfile.ZipFile(tmp_path / "evil.pth", "w") as archive:
        archive.writestr("archive/data.pkl", program)
    with pytest.raises(CheckpointError):
        DextrModel.from_file(tmp_path / "evil.pth")
    assert_equal(DextrModel.from_file(original.file("model_a_zip")), models["a"])
    torch.save(DextrModel(torch.nn.Conv2d(1, 1, 1), (64, 64), 1, 1.0), tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"holds a dextr\.model\.DextrModel"):
        DextrModel.from_file(tmp_path / "other.pth")


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_bare_pickle_is_not_run(tmp_path, protocol):
    (tmp_path / "evil.pth").write_bytes(pickle.dumps(Touch(tmp_path / "run"), protocol))
    with pytest.raises(CheckpointError):
        DextrModel.from_file(tmp_path / "evil.pth")
    assert not (tmp_path / "run").exists()


def test_unsafe_runs_the_file_with_a_warning(tmp_path, model):
    torch.save({**model.checkpoint().as_dict(), "note": Touch(tmp_path / "run")}, tmp_path / "own.pth")
    with pytest.warns(UserWarning, match="code from the file is run"):
        loaded = DextrModel.from_file(tmp_path / "own.pth", unsafe=True)
    assert (tmp_path / "run").exists()
    assert_equal(loaded, model)


def test_unsafe_loads_whole_models_too(tmp_path, model):
    model.note = Touch(tmp_path / "run")
    torch.save(model, tmp_path / "own.pth")
    del model.note
    with pytest.warns(UserWarning, match="code from the file is run"):
        assert_equal(DextrModel.from_file(tmp_path / "own.pth", unsafe=True), model)


def test_unsafe_makes_no_difference_where_nothing_has_to_be_run(tmp_path, model):
    model.save(tmp_path / "model.safetensors")
    assert_equal(DextrModel.from_file(tmp_path / "model.safetensors", unsafe=True), model)


def test_truncated_safetensors(model, tmp_path):
    path = tmp_path / "cut.safetensors"
    model.save(path)
    for size in (path.stat().st_size - 1, 2000, 20):
        os.truncate(path, size)
        with pytest.raises(CheckpointError, match="broken safetensors"):
            DextrModel.from_file(path)


def test_other_objects_and_missing_settings(model, tmp_path):
    path = tmp_path / "model.pth"
    for value in (model.net.state_dict(), [1, 2], OrderedDict(a=torch.ones(2)), {"format": "other-1"}):
        torch.save(value, path)
        with pytest.raises(CheckpointError, match="format tag"):
            DextrModel.from_file(path)
    for broken in (
        {"arch": "vgg"},
        {"target_size_yx": 5},
        {"padding": "x"},
        {"state_dict": {"final_clf.weight": 1}},
        {"state_dict": {}},
        {"arch": "deeplab3"},
    ):
        torch.save({**model.checkpoint().as_dict(), **broken}, path)
        with pytest.raises(CheckpointError, match=r"model\.pth"):
            DextrModel.from_file(path)
    values = model.checkpoint().as_dict()
    del values["blob_sigma"]
    torch.save(values, path)
    with pytest.raises(CheckpointError, match="blob_sigma"):
        DextrModel.from_file(path)


def test_weights_of_another_net(model, tmp_path):
    path = tmp_path / "other.safetensors"
    model.save(path)
    with checkpoints.safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    del tensors["final_clf.bias"]
    save_file(tensors, path, metadata)
    with pytest.raises(CheckpointError, match="Missing key"):
        DextrModel.from_file(path)
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(CheckpointError, match="format 'pt'"):
        DextrModel.from_file(path)
