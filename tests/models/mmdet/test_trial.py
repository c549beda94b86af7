"""What --compile and --precision do not work with is told when the model is loaded, not for each image."""

import pytest

from maskworks.errors import DeviceError
from tests.support.mmdet_predictor import load, saved
from tests.support.mmdet_school import NEEDS_MMDET

pytestmark = NEEDS_MMDET


@pytest.mark.slow("builds detectors")
@pytest.mark.filterwarnings("ignore:.*script_method. is deprecated:DeprecationWarning")  # torch, by its compiler
def test_compiling_without_a_compiler(mmdet, tmp_path, monkeypatch):
    """torch looks for one under the names in this setting, unless it kept the result of an earlier run."""
    import torch

    monkeypatch.setattr(torch._inductor.config.cpp, "cxx", ("no-such-compiler",))
    monkeypatch.setattr(torch._inductor.config, "force_disable_caches", True)
    with pytest.raises(
        DeviceError, match=r"--compile: does not work here: .*; leave the flag out, or install a compiler"
    ):
        load(*saved(tmp_path), compile=True)


@pytest.mark.slow("builds detectors")
def test_compiling_a_model_without_a_backbone_of_its_own(mmdet, tmp_path, caplog):
    load(*saved(tmp_path, "soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco.py"), compile=True)
    assert "--compile: changes nothing for this model" in caplog.text


def deformable(config):
    """Convolutions whose operator knows float32 alone."""
    convolution = {"type": "DCNv2", "deform_groups": 1, "fallback_on_stride": False}
    config.model.backbone.update(depth=50, dcn=convolution, stage_with_dcn=(False, False, False, True))
    config.model.neck.in_channels = [64, 128, 256, 512]


def test_an_operator_that_does_not_know_the_precision(mmdet, tmp_path):
    checkpoint, config = saved(tmp_path, change=deformable)
    with pytest.raises(DeviceError, match=r"--precision bf16: does not work here: .*; give fp32"):
        load(checkpoint, config, precision="bf16")


def test_an_operator_that_the_device_lacks(mmdet, tmp_path):
    checkpoint, config = saved(tmp_path, change=lambda c: c.model.neck.update(type="FPN_CARAFE"))
    with pytest.raises(DeviceError, match=r"^the operator carafe_forward of mmcv does not run on cpu"):
        load(checkpoint, config, precision="bf16")
