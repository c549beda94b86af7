"""Pascal VOC, as a small tree of the same shape, and the settings that say where it is."""

from __future__ import annotations

import configparser
import os
import re

import numpy as np
import pytest
from PIL import Image

from dextr.data_pipeline.pascal_voc_dataset import PascalVOCDataset
from dextr.settings import data_directory


@pytest.fixture
def voc(tmp_path, monkeypatch):
    """The root of a VOC of three images; the working directory has a dextr.cfg that names it."""
    root = tmp_path / "VOC 2012%"
    for name in ("ImageSets/Segmentation", "JPEGImages", "SegmentationObject"):
        (root / name).mkdir(parents=True)
    for number, name in enumerate(["2007_000002", "2007_000001", "2007_000003"]):
        Image.new("RGB", (60, 40), (number, 0, 0)).save(root / "JPEGImages" / f"{name}.jpg")
        array = np.zeros((40, 60), dtype=np.uint8)
        array[5:20, 5:25] = 255
        array[6:19, 6:24] = 1
        array[25:35, 30:50] = number + 2
        labels = Image.fromarray(array).convert("P")
        labels.putdata(array.ravel())
        labels.save(root / "SegmentationObject" / f"{name}.png")
    (root / "ImageSets" / "Segmentation" / "train.txt").write_text("2007_000002\n\n2007_000001\n")
    (root / "ImageSets" / "Segmentation" / "val.txt").write_text("2007_000003\n")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dextr.cfg").write_text(f"[paths]\npascal_voc={root}\n")
    return root


def test_the_splits_hold_their_objects(voc):
    train, val = PascalVOCDataset("train", None), PascalVOCDataset("val", None, load_input=False)
    assert train.sample_names == ["2007_000001", "2007_000002"]
    assert train.obj_meta_indices.tolist() == [[0, 0, -1], [0, 2, -1], [1, 0, -1], [1, 1, -1]]
    assert val.obj_meta_indices.tolist() == [[0, 0, -1], [0, 3, -1]]
    sample = train[0]
    assert (sample["input"].mode, sample["input"].size) == ("RGB", (60, 40))
    assert (np.asarray(sample["target_mask"]) > 0).sum() == 13 * 18
    assert "input" not in val[0]
    with pytest.raises(ValueError, match=r"no split 'trainval'.*train, val"):
        PascalVOCDataset("trainval", None)


def test_objects_are_kept_in_the_root(voc):
    first = PascalVOCDataset("train", None)
    assert (voc / "dextr_objects_train.npz").is_file()

    def never(images):
        raise AssertionError("the annotations were searched again")

    again = PascalVOCDataset("train", None, progress_fn=never)
    np.testing.assert_array_equal(first.obj_meta_indices, again.obj_meta_indices)


def test_images_are_checked_although_objects_are_kept(voc):
    PascalVOCDataset("train", None)
    kept = (voc / "dextr_objects_train.npz").read_bytes()
    photo = voc / "JPEGImages" / "2007_000001.jpg"
    whole, bad = photo.read_bytes(), {}
    for spoil, message in (
        (lambda: photo.write_bytes(whole[: len(whole) // 2]), "2007_000001.jpg cannot be read"),
        (lambda: Image.new("RGB", (61, 40)).save(photo), "2007_000001.jpg has .* pixels, its annotation"),
        (photo.unlink, "No such file"),
    ):
        spoil()
        dataset = PascalVOCDataset("train", None, on_bad_image=bad.__setitem__)
        assert dataset.obj_meta_indices.tolist() == [[1, 0, -1], [1, 1, -1]]
        assert len(dataset.obj_meta_outlines) == 2
        assert list(bad) == [0]
        assert re.search(message, str(bad.pop(0)))
    assert (voc / "dextr_objects_train.npz").read_bytes() == kept
    photo.write_bytes(whole)
    assert len(PascalVOCDataset("train", None, on_bad_image=bad.__setitem__)) == 4
    assert not bad


def test_an_annotation_that_is_missing(voc):
    (voc / "SegmentationObject" / "2007_000001.png").unlink()
    with pytest.raises(FileNotFoundError):
        PascalVOCDataset("train", None)
    bad = {}
    assert len(PascalVOCDataset("train", None, on_bad_image=bad.__setitem__)) == 2
    assert list(bad) == [0]


def test_root_that_cannot_be_written(voc, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # tests may run as root, who can write anywhere
    assert len(PascalVOCDataset("train", None)) == 4
    assert not (voc / "dextr_objects_train.npz").exists()


def test_missing_settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(configparser.Error, match=r"dextr.cfg does not exist; make it.*pascal_voc = <directory>"):
        PascalVOCDataset("train", None)
    for text in ("", "[paths]\ncoco = .\n", "[other]\npascal_voc = .\n"):
        (tmp_path / "dextr.cfg").write_text(text)
        with pytest.raises(configparser.Error, match=r"has no 'pascal_voc' in its section \[paths\]"):
            data_directory("pascal_voc")
    (tmp_path / "dextr.cfg").write_text("pascal_voc = .\n")
    with pytest.raises(configparser.Error):
        data_directory("pascal_voc")
    (tmp_path / "dextr.cfg").write_text("[paths]\npascal_voc = nowhere\n")
    with pytest.raises(RuntimeError, match="'pascal_voc' is nowhere, which is not a directory"):
        data_directory("pascal_voc")


def test_home_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "voc").mkdir()
    (tmp_path / "dextr.cfg").write_text("[paths]\npascal_voc = ~/voc\n")
    assert data_directory("pascal_voc") == tmp_path / "voc"
