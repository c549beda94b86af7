"""Stock models that these versions of MMDetection's libraries break, and those that find no objects in pictures."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from maskworks.errors import CheckpointError
from maskworks_mmdet import config_command
from maskworks_mmdet.sample_data import picture
from tests.support.mmdet_predictor import load, requests, saved
from tests.support.mmdet_school import NEEDS_MMDET

pytestmark = [NEEDS_MMDET, pytest.mark.slow("builds detectors")]

IMAGE = picture(24)[0]


def scaled(config, size=(128, 128)):
    """For small images."""
    for step in config.test_dataloader.dataset.pipeline:
        if "scale" in step:
            step.scale = size


def predicted(checkpoint, config, **flags):
    (found,) = load(checkpoint, config, **flags).predict(requests(IMAGE))
    return found


def ssd(config):
    """With few channels."""
    scaled(config, (320, 320))
    config.model.backbone.init_cfg = None
    config.model.test_cfg.score_thr = 0.0


def test_ssd(mmdet, tmp_path):
    found = predicted(*saved(tmp_path, "ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py", ssd))
    assert found
    assert all(i.mask is None and i.box is not None for i in found)


def test_batch_normalisation_that_is_synchronised(mmdet, tmp_path):
    """In one process it is the plain one."""
    checkpoint, config = saved(tmp_path, change=lambda c: c.model.neck.update(norm_cfg={"type": "BN"}))
    plain = predicted(checkpoint, config)
    config.write_text(config.read_text().replace("norm_cfg=dict(type='BN')", "norm_cfg=dict(type='MMSyncBN')"))
    assert "MMSyncBN" in config.read_text()
    found = predicted(checkpoint, config)
    assert found
    assert [(i.score, *i.box) for i in found] == [(i.score, *i.box) for i in plain]


def test_an_eps_of_zero(mmdet, tmp_path):
    """As in NAS-FCOS; torch refuses it."""
    from mmengine.config import Config

    from maskworks_mmdet.repairs import repair

    config = Config({"model": {"type": "BN", "num_features": 2, "eps": 0}})
    repair(config, alone=True)
    layer = torch.nn.BatchNorm2d(2, eps=config.model.eps).eval()
    layer.running_var[:] = torch.tensor([0.3, 1e-20])
    given = torch.rand(1, 2, 3, 3)
    expected = given / layer.running_var[:, None, None].sqrt()
    assert torch.allclose(layer(given), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    "name", ["ld/ld_r18-gflv1-r101_fpn_1x_coco.py", "lad/lad_r50-paa-r101_fpn_2xb8_coco_1x.py"], ids=["LD", "LAD"]
)
def test_a_student_without_a_teacher(mmdet, tmp_path, name):
    """As the stock config names it, by a path and a URL that lead nowhere here."""
    from maskworks_mmdet.repairs import without_training

    found = predicted(*saved(tmp_path, name, scaled, part=without_training))
    assert found
    assert "teacher" in (tmp_path / "config.py").read_text()


def panoptic_fpn(config):
    scaled(config)
    config.model.backbone.depth = 18
    config.model.backbone.init_cfg = None
    config.model.neck.in_channels = [64, 128, 256, 512]
    config.model.test_cfg.rcnn.score_thr = 0.0


def test_a_panoptic_fpn_gives_its_objects(mmdet, tmp_path, caplog):
    """The masks of its R-CNN, which are laid over each other only for the panoptic picture."""
    from mmdet.datasets import CocoPanopticDataset

    meta = CocoPanopticDataset.METAINFO
    checkpoint, config = saved(tmp_path, "panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py", panoptic_fpn, meta)
    found = predicted(checkpoint, config)
    assert found
    assert {i.name for i in found} <= set(meta["thing_classes"])
    assert any(i.mask is not None and i.mask.any() for i in found)
    assert all(i.box is not None and np.isfinite(i.score) for i in found)
    assert "no place for" not in caplog.text


def maskformer(config):
    scaled(config)
    config.model.backbone.depth = 18
    config.model.backbone.init_cfg = None
    config.model.panoptic_head.in_channels = [64, 128, 256, 512]


def test_the_stock_maskformer_gives_its_objects(mmdet, tmp_path):
    from mmdet.datasets import CocoPanopticDataset

    meta = CocoPanopticDataset.METAINFO
    found = predicted(*saved(tmp_path, "maskformer/maskformer_r50_ms-16xb1-75e_coco.py", maskformer, meta))
    assert found
    assert all(i.name in meta["thing_classes"] and i.mask.any() for i in found)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("fast_rcnn/fast-rcnn_r50_fpn_1x_coco.py", "FastRCNN wants proposals with each picture"),
        ("glip/glip_atss_swin-t_a_fpn_dyhead_pretrain_obj365.py", "GLIP wants a text with each picture"),
        ("mm_grounding_dino/grounding_dino_swin-t_pretrain_obj365.py", "GroundingDINO wants a text with each picture"),
        ("qdtrack/qdtrack_faster-rcnn_r50_fpn_4e_base.py", "QDTrack follows objects through a video"),
        ("reid/reid_r50_8xb32-6e_mot17train80_test-mot17val20.py", "BaseReID compares objects that were cut out"),
        ("clrnet/clrnet.py", "CLRNet finds the lanes of a road"),
        ("misc/d2_faster-rcnn_r50-caffe_fpn_ms-90k_coco.py", "needs detectron2, which is not installed here"),
        ("convnext/mask-rcnn_convnext-t-p4-w7_fpn_amp-ms-crop-3x_coco.py", r"needs mmpretrain \(pip install"),
        ("timm_example/retinanet_timm-tv-resnet50_fpn_1x_coco.py", r"needs mmpretrain \(pip install"),
    ],
)
def test_others_are_refused_in_a_line_before_anything_is_loaded(mmdet, tmp_path, name, reason):
    """There is not even a checkpoint."""
    from maskworks_mmdet.configs import stock_configs

    with pytest.raises(CheckpointError, match=rf"^--config .*{Path(name).name}: {reason}") as caught:
        load(tmp_path / "none.pth", stock_configs()[name])
    assert "\n" not in str(caught.value)


def test_a_config_is_written_without_the_packages_that_it_needs(mmdet, tmp_path):
    name = "convnext/mask-rcnn_convnext-t-p4-w7_fpn_amp-ms-crop-3x_coco.py"
    assert config_command.main([name, "--save-path", str(tmp_path / "c.py")]) == 0
    assert "mmpretrain.ConvNeXt" in (tmp_path / "c.py").read_text()


def test_modules_of_a_config(mmdet, tmp_path, monkeypatch):
    """One that is there is imported, one that breaks is named, one that is not there needs no import if it may lack."""
    from maskworks_mmdet.configs import read_config

    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_fine.py").write_text("import os\nos.environ['OWN_MODULE'] = 'ran'\n")
    (tmp_path / "own_broken.py").write_text("import no_such_module\n")
    monkeypatch.delenv("OWN_MODULE", raising=False)

    def config(modules, allowed=False):
        path = tmp_path / "c.py"
        path.write_text(
            f"model = dict(type='A')\ncustom_imports = dict(imports={modules}, allow_failed_imports={allowed})\n"
        )
        return path

    read_config(config(["own_fine"]))
    assert os.environ["OWN_MODULE"] == "ran"
    with pytest.raises(CheckpointError, match=r"custom_imports: ImportError: .*own_broken: No module.*no_such_module"):
        read_config(config(["own_broken"]))
    with pytest.raises(CheckpointError, match=r"needs own_none, which is not installed here; .*PYTHONPATH"):
        read_config(config(["own_none.inner"]))
    with pytest.warns(UserWarning, match="own_none"):
        read_config(config(["own_none.inner"], allowed=True))
