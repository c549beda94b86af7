"""Settings of stock configs that would end a training on this machine, or only fill its log."""

import os
from pathlib import Path
from urllib.error import URLError

import pytest
import torch

from maskworks.errors import CheckpointError, ConfigError
from maskworks_mmdet.checkpoints import guarded
from maskworks_torch import download
from tests.support.mmdet_school import NEEDS_MMDET

pytestmark = NEEDS_MMDET


@pytest.fixture
def fitted(mmdet):
    """A config with these parts, made to fit."""
    from mmengine.config import Config

    from maskworks_mmdet.training_settings import fit_settings

    def fit(**parts):
        config = Config({"model": {"type": "MaskRCNN"}, **parts})
        fit_settings(config)
        return config

    return fit


def test_mixed_precision_without_a_gpu(fitted, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    wrapper = {"type": "AmpOptimWrapper", "loss_scale": "dynamic", "optimizer": {"type": "SGD"}}
    found = fitted(optim_wrapper=dict(wrapper)).optim_wrapper
    assert found == {"type": "OptimWrapper", "optimizer": {"type": "SGD"}}
    assert "mixed precision, which needs a GPU; training in float32" in capsys.readouterr().err
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert fitted(optim_wrapper=dict(wrapper)).optim_wrapper == wrapper


def panoptic(weights, **counts):
    loss = {"type": "CrossEntropyLoss", "class_weight": weights}
    return {"type": "Mask2Former", "panoptic_head": {"type": "Mask2FormerHead", "loss_cls": loss, **counts}}


def test_weights_of_other_classes_are_made_to_fit(fitted, capsys):
    model = panoptic([1.0] * 80 + [0.1], num_things_classes=2, num_stuff_classes=1)
    assert fitted(model=model).model.panoptic_head.loss_cls.class_weight == [1.0, 1.0, 1.0, 0.1]
    assert "model.panoptic_head.loss_cls.class_weight had 81 weights for 3 classes" in capsys.readouterr().err
    fitted(model=panoptic([2.0, 1.0, 0.1], num_things_classes=2, num_stuff_classes=0))
    assert capsys.readouterr().err == ""


def test_weights_of_single_classes_that_do_not_fit(fitted):
    with pytest.raises(ConfigError, match=r"^model\.panoptic_head\.loss_cls\.class_weight has 4 weights; expected 3, "):
        fitted(model=panoptic([1.0, 2.0, 3.0, 0.1], num_things_classes=2, num_stuff_classes=0))


def test_no_more_workers_than_cores(fitted, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    loaders = {f"{name}_dataloader": {"num_workers": count} for name, count in (("train", 8), ("val", 1))}
    config = fitted(**loaders)
    assert (config.train_dataloader.num_workers, config.val_dataloader.num_workers) == (2, 1)


def test_loaders_without_processes_of_their_own(mmdet, fitted, monkeypatch):
    """torch refuses the one and warns of the other."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    loader = {"num_workers": 0, "persistent_workers": True, "prefetch_factor": 2, "pin_memory": True}
    found = fitted(train_dataloader=loader).train_dataloader
    assert torch.utils.data.DataLoader([1], **found).num_workers == 0
    assert not found.pin_memory


def test_a_log_whose_package_is_missing(fitted, monkeypatch):
    from maskworks_mmdet import training_settings

    monkeypatch.setattr(training_settings, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"^vis_backends: TensorboardVisBackend needs tensorboard, which is not inst"):
        fitted(visualizer={"type": "DetLocalVisualizer", "vis_backends": [{"type": "TensorboardVisBackend"}]})


def test_the_config_of_a_teacher_by_its_place_in_the_repository(fitted):
    teacher = "configs/gfl/gfl_r50_fpn_1x_coco.py"
    assert Path(fitted(model={"type": "LD", "teacher_config": teacher}).model.teacher_config).is_file()


@pytest.mark.parametrize(("launcher", "kind"), [("none", "BN"), ("pytorch", "MMSyncBN")])
def test_batch_normalisation_is_synchronised_where_there_are_several_processes(mmdet, launcher, kind):
    from mmengine.config import Config

    from maskworks_mmdet.repairs import repair

    config = Config({"model": {"type": "MaskRCNN", "neck": {"type": "FPN", "norm_cfg": {"type": "MMSyncBN"}}}})
    repair(config, alone=launcher == "none")
    assert config.model.neck.norm_cfg.type == kind


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """Each connection fails; the folder of torch's downloads."""

    def fail(*_, **__):
        raise URLError("no network here")

    monkeypatch.setattr(download.urllib.request, "urlopen", fail)
    monkeypatch.setattr(download, "WAIT_S", 0.0)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path / "hub" / "checkpoints"


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("torchvision://resnet50", "resnet50-0676ba61.pth"),
        ("open-mmlab://detectron2/resnet50_caffe", "resnet50_msra-5891d200.pth"),
        ("https://example.org/weights/swin.pth?raw=1", "swin.pth"),
    ],
)
def test_pretrained_weights_without_a_network(mmdet, no_network, name, file):
    """It is said which file has to be where; there it is found."""
    from mmengine.runner.checkpoint import CheckpointLoader

    with guarded("start", unsafe=False):
        with pytest.raises(CheckpointError) as caught:
            CheckpointLoader.load_checkpoint(name, "cpu")
        text = str(caught.value)
        assert "no network here" in text
        assert text.endswith(f"fetch it elsewhere and save it as {no_network / file}")
        assert "\n" not in text
        torch.save({"a": torch.ones(2)}, no_network / file)
        assert CheckpointLoader.load_checkpoint(name, "cpu")["a"].tolist() == [1, 1]
