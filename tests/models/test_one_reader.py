"""A model sees in training what it sees in prediction: all that reads photos reads them alike."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from PIL import Image

from dextr.data_pipeline.image_files import check_photo, read_photo
from dextr.errors import ImageFileError
from maskworks.config import InputConfig
from maskworks.images.reader import decode_image
from tensormask.errors import DatasetError
from tensormask.training.coco_dataset import Record, read_image
from tests.support.image_files import CASES, image_files
from tests.support.samples import encoded


def expected(data, **wishes):
    return decode_image(data, InputConfig(**wishes))[0]


@pytest.mark.parametrize("name", sorted(path.name for path in CASES.iterdir() if path.suffix not in (".heic", ".md")))
def test_files_of_every_kind_that_people_have(name):
    check_readers(CASES / name)


def test_files_of_every_format(tmp_path):
    for index, data in enumerate(image_files()):
        path = tmp_path / f"{index}.bin"
        path.write_bytes(data)
        check_readers(path)


def test_names_say_nothing(tmp_path):
    shutil.copy(CASES / "b8_u16_minisblack.tif", tmp_path / "a.png")
    check_readers(tmp_path / "a.png")


def test_formats_that_only_pillow_reads_stay_good_for_training(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    path = tmp_path / "a.ppm"
    path.write_bytes(encoded(Image.fromarray(pixels), "PPM"))
    np.testing.assert_array_equal(read_photo(path), pixels)
    assert check_photo(path) == (20, 30)
    np.testing.assert_array_equal(read_image(Record(path, 20, 30, ()), "RGB"), pixels)


@pytest.mark.parametrize("content", [b"", b"hello", b"II*\0\x08\0\0\0"])
def test_what_cannot_be_read_is_an_error_of_the_data_set(tmp_path, content):
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    for read in (read_photo, check_photo):
        with pytest.raises(ImageFileError, match=r"a\.tif cannot be read"):
            read(path)
    with pytest.raises(DatasetError, match=r"a\.tif"):
        read_image(Record(path, 1, 1, ()), "RGB")


def check_readers(path):
    data = path.read_bytes()
    stored, upright = expected(data), expected(data, exif="apply")
    np.testing.assert_array_equal(read_photo(path), stored)
    assert check_photo(path) == stored.shape[:2]
    record = Record(path, upright.shape[0], upright.shape[1], ())
    np.testing.assert_array_equal(read_image(record, "BGR"), upright[:, :, ::-1])
