"""A model sees in its training what it sees in a prediction."""

import io

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from maskworks.config import InputConfig
from maskworks.images.reader import decode_image
from maskworks_mmdet.sample_data import picture
from tests.support.mmdet_school import NEEDS_MMDET

pytestmark = NEEDS_MMDET

DEEP = (np.linspace(300, 4000, 40 * 50).reshape(40, 50)).astype(np.uint16)


def encoded(kind):
    """The bytes of an image file that is unusual."""
    file = io.BytesIO()
    if kind == "16 bits":
        return cv2.imencode(".png", DEEP)[1].tobytes()
    if kind == "float TIFF":
        tifffile.imwrite(file, DEEP.astype(np.float32) / 7)
    elif kind == "five bands":
        tifffile.imwrite(file, np.stack([DEEP // 2**n for n in range(5)], 2), photometric="minisblack")
    elif kind == "transparent":
        Image.fromarray(np.dstack([picture(0)[0], np.full((128, 128), 90, np.uint8)])).save(file, "PNG")
    elif kind == "JPEG":
        Image.fromarray(picture(0)[0]).save(file, "JPEG")
    return file.getvalue()


@pytest.fixture
def reader(mmdet):
    """`LoadImageFromFile` as a training of this config builds it."""
    from mmdet.registry import TRANSFORMS
    from mmengine.config import Config
    from mmengine.registry import DefaultScope

    from maskworks_mmdet.training_images import read_as_predicted

    before = dict(TRANSFORMS.module_dict)

    def build(kind="LoadImageFromFile", **settings):
        config = Config({"train_dataloader": {"dataset": {"pipeline": [{"type": kind, **settings}]}}})
        read_as_predicted(config)
        (step,) = config.train_dataloader.dataset.pipeline
        assert step.type == "LoadImageFromFile"
        with DefaultScope.overwrite_default_scope("mmdet"):
            return TRANSFORMS.build(step)

    yield build
    TRANSFORMS.module_dict.clear()
    TRANSFORMS.module_dict.update(before)


@pytest.mark.parametrize("kind", ["16 bits", "float TIFF", "five bands", "transparent", "JPEG"])
def test_images_are_read_as_for_a_prediction(reader, tmp_path, kind):
    (tmp_path / "a").write_bytes(encoded(kind))
    predicted, _ = decode_image(encoded(kind), InputConfig())
    found = reader()({"img_path": str(tmp_path / "a")})
    assert (found["img"][:, :, ::-1] == predicted).all()
    assert found["img_shape"] == found["ori_shape"] == predicted.shape[:2]


def test_the_settings_of_the_step(reader, tmp_path):
    from mmcv.transforms import LoadImageFromFile

    (tmp_path / "a.png").write_bytes(encoded("16 bits"))
    predicted, _ = decode_image(encoded("16 bits"), InputConfig())
    found = {"img_path": str(tmp_path / "a.png")}
    for kind in ("mmdet.LoadImageFromFile", LoadImageFromFile):
        grey = reader(kind, color_type="grayscale", to_float32=True)(dict(found))["img"]
        assert grey.dtype == np.float32
        assert (grey == predicted[:, :, 0]).all()
    untouched = reader(color_type="unchanged")(dict(found))["img"]
    assert (untouched == DEEP).all()


@pytest.mark.parametrize(("color_type", "shape"), [("color", (50, 40)), ("color_ignore_orientation", (40, 50))])
def test_images_are_upright(reader, tmp_path, color_type, shape):
    """As MMDetection has them, whose annotations count pixels of the upright image."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray((DEEP >> 4).astype(np.uint8)).save(tmp_path / "a.jpg", exif=exif)
    assert reader(color_type=color_type)({"img_path": str(tmp_path / "a.jpg")})["img"].shape[:2] == shape


def test_other_formats_are_left_to_mmdetection(reader, tmp_path):
    cv2.imwrite(str(tmp_path / "a.ppm"), picture(0)[0])
    assert (reader()({"img_path": str(tmp_path / "a.ppm")})["img"] == picture(0)[0]).all()


@pytest.mark.parametrize("content", [None, encoded("JPEG")[:300]])
def test_files_that_cannot_be_read(reader, tmp_path, content):
    if content is not None:
        (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.jpg: .*; mend the file, or take it out of the annotations$"):
        reader()({"img_path": str(tmp_path / "a.jpg")})
    assert reader(ignore_empty=True)({"img_path": str(tmp_path / "a.jpg")}) is None
