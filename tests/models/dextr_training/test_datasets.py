"""Objects from label images and stacks of masks."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image

from dextr.data_pipeline import image_files
from dextr.data_pipeline.dextr_dataset import (
    DextrDataset,
    LabelImageTargetDextrDataset,
    MaskStackTargetDextrDataset,
)
from dextr.errors import ImageFileError


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (40, 30), (10, 20, 30)).save(path)
    return path


@pytest.fixture
def labels():
    """Label 1 in two regions that touch at a corner, label 3 in one; nothing has label 2."""
    array = np.zeros((30, 40), dtype=np.uint8)
    array[2:8, 3:9] = 1
    array[8:12, 9:15] = 1
    array[20:28, 20:39] = 3
    return array


def label_dataset(photo, array, **settings):
    path = photo.with_name("labels.png")
    Image.fromarray(array).save(path)
    return LabelImageTargetDextrDataset([photo], [path], **settings)


def mask_of(sample):
    array = np.asarray(sample["target_mask"])
    assert sample["target_mask"].mode == "L"
    assert set(np.unique(array)) <= {0, 255}
    return array > 0


def test_one_sample_per_region(photo, labels):
    dataset = label_dataset(photo, labels)
    assert dataset.obj_meta_indices.tolist() == [[0, 0, 0], [0, 0, 1], [0, 2, -1]]
    assert len(dataset) == len(dataset.obj_meta_outlines) == 3
    first, second, third = (dataset[index] for index in range(3))
    assert set(first) == {"input", "target_mask", "target_mask_outline"}
    assert (first["input"].mode, first["input"].size) == ("RGB", (40, 30))
    upper = (labels == 1) & (np.arange(30) < 8)[:, None]
    np.testing.assert_array_equal(mask_of(first), upper)
    np.testing.assert_array_equal(mask_of(second), (labels == 1) & ~upper)
    np.testing.assert_array_equal(mask_of(third), labels == 3)
    for sample in (first, second, third):
        np.testing.assert_array_equal(sample["target_mask_outline"], dataset.mask_outline(mask_of(sample)))


def test_region_inside_the_box_of_another(photo):
    array = np.zeros((30, 40), dtype=np.uint8)
    array[5:25, 5:35] = 1
    array[8:22, 8:32] = 0
    array[12:16, 12:16] = 1
    dataset = label_dataset(photo, array)
    ring, island = (mask_of(dataset[index]) for index in range(2))
    assert ring.sum() == (array > 0).sum() - 16
    assert island.sum() == 16
    assert not (ring & island).any()


def test_outline_is_where_a_neighbour_is_missing():
    mask = np.zeros((6, 7), dtype=bool)
    mask[1:5, 1:5] = True
    mask[:, 6] = True
    expected = [[y, x] for y in range(6) for x in range(7) if mask[y, x] and not (2 <= y <= 3 and 2 <= x <= 3)]
    outline = DextrDataset.mask_outline(mask)
    assert outline.tolist() == expected
    assert outline.dtype == np.int64
    assert DextrDataset.mask_outline(np.zeros((3, 3), dtype=np.uint8)).shape == (0, 2)


def test_label_masks(photo, labels):
    dataset = label_dataset(photo, labels)
    assert dataset.get_num_labels_in_inst_y(labels) == 3
    np.testing.assert_array_equal(dataset.get_label_mask(0, 2), labels == 3)
    np.testing.assert_array_equal(DextrDataset.get_label_mask_from_inst_y(labels, 0), labels == 1)


def test_ignored_label_is_no_object_and_no_part_of_one(photo, labels):
    labels[2:8, 3:5] = 255
    assert 254 in label_dataset(photo, labels).obj_meta_indices[:, 1]
    dataset = label_dataset(photo, labels, ignore_index=255)
    assert dataset.obj_meta_indices.tolist() == [[0, 0, 0], [0, 0, 1], [0, 2, -1]]
    assert not mask_of(dataset[0])[2:8, 3:5].any()
    assert dataset.get_num_labels_in_inst_y(labels) == 3
    assert LabelImageTargetDextrDataset.IGNORE_INDEX is None


@pytest.mark.parametrize("value", [0, 255])
def test_no_objects(photo, value):
    dataset = label_dataset(photo, np.full((30, 40), value, dtype=np.uint8), ignore_index=255)
    assert len(dataset) == 0
    assert dataset.obj_meta_indices.shape == (0, 3)
    assert dataset.obj_meta_outlines == []
    assert len(LabelImageTargetDextrDataset([], [])) == 0


def test_palette_and_16_bit_labels(photo, labels):
    expected = label_dataset(photo, labels).obj_meta_indices
    path = photo.with_name("other.png")
    palette = Image.fromarray(labels).convert("P")
    palette.putdata(labels.ravel())
    palette.save(path)
    np.testing.assert_array_equal(LabelImageTargetDextrDataset([photo], [path]).obj_meta_indices, expected)
    Image.fromarray(labels.astype(np.uint16) * 300).save(path)
    wide = LabelImageTargetDextrDataset([photo], [path])
    assert wide.obj_meta_indices.tolist() == [[0, 299, 0], [0, 299, 1], [0, 899, -1]]
    assert mask_of(wide[2]).sum() == (labels == 3).sum()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "CMYK"])
def test_annotation_in_colours_is_refused(photo, labels, mode):
    path = photo.with_name("colours.tif")
    Image.fromarray(labels).convert("RGB").convert(mode if mode != "LA" else "L").convert(mode).save(path)
    with pytest.raises(ValueError, match=rf"colours.tif has the mode {mode}; expected one integer per pixel"):
        LabelImageTargetDextrDataset([photo], [path])
    with pytest.raises(ValueError, match="save labels and masks as"):
        MaskStackTargetDextrDataset([photo], [[path]])


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_photos_become_rgb(photo, labels, mode):
    path = photo.with_name("photo.tif")
    Image.new("RGB", (40, 30), (10, 20, 30)).convert(mode).save(path)
    dataset = label_dataset(path, labels)
    assert dataset[0]["input"].mode == "RGB"


def test_without_images(tmp_path, labels):
    path = tmp_path / "labels.png"
    Image.fromarray(labels).save(path)
    dataset = LabelImageTargetDextrDataset([tmp_path / "missing.jpg"], [path], load_input=False)
    assert set(dataset[0]) == {"target_mask", "target_mask_outline"}


def test_transform_and_progress(photo, labels):
    seen = []

    def progress(numbers):
        for number in numbers:
            seen.append(number)
            yield number

    dataset = label_dataset(photo, labels, transform=sorted, progress_fn=progress)
    assert seen == [0]
    assert dataset[0] == ["input", "target_mask", "target_mask_outline"]


def test_annotation_of_another_size(photo, labels):
    dataset = label_dataset(photo, labels[:, :-1])
    with pytest.raises(ValueError, match=r"photo.jpg has \(40, 30\) pixels, its annotation \(39, 30\)"):
        dataset[0]


def write_masks(folder, arrays):
    paths = [folder / f"mask{number}.png" for number in range(len(arrays))]
    for path, array in zip(paths, arrays, strict=True):
        Image.fromarray(array).save(path)
    return paths


def test_every_mask_of_a_stack_is_an_object(photo, labels):
    masks = [(labels == 1) * np.uint8(255), (labels == 3) * np.uint8(1), np.zeros_like(labels)]
    dataset = MaskStackTargetDextrDataset([photo], [write_masks(photo.parent, masks)])
    assert dataset.obj_meta_indices.tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, -1]]
    assert dataset.get_instance_y_arr(0).shape == (30, 40, 3)
    assert dataset.get_num_labels_in_inst_y(dataset.get_instance_y_arr(0)) == 3
    np.testing.assert_array_equal(mask_of(dataset[2]), labels == 3)
    np.testing.assert_array_equal(dataset.get_label_mask(0, 0), labels == 1)


def test_masks_may_overlap_and_have_ignored_pixels(photo):
    masks = np.zeros((2, 30, 40), dtype=np.uint8)
    masks[0, 5:15, 5:15] = 255
    masks[1, 10:20, 10:20] = 255
    masks[1, 10:12, 10:20] = 128
    dataset = MaskStackTargetDextrDataset([photo], [write_masks(photo.parent, masks)], ignore_index=128)
    assert mask_of(dataset[0]).sum() == 100
    assert mask_of(dataset[1]).sum() == 80


def test_stacks_that_do_not_fit(photo):
    paths = write_masks(photo.parent, [np.ones((30, 40), np.uint8), np.ones((30, 41), np.uint8)])
    with pytest.raises(ValueError, match=r"differ in size.*\(30, 40\), \(30, 41\)"):
        MaskStackTargetDextrDataset([photo], [paths])
    assert len(MaskStackTargetDextrDataset([photo], [[]])) == 0
    with pytest.raises(ValueError, match="there are 1 images and 0 stacks of masks"):
        MaskStackTargetDextrDataset([photo], [])
    with pytest.raises(ValueError, match="there are 1 images and 2 label images"):
        LabelImageTargetDextrDataset([photo], [photo, photo])


@pytest.mark.parametrize("read", [image_files.read_photo, image_files.check_photo, image_files.read_labels])
def test_a_pipe_is_not_waited_for(tmp_path, read):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a.png").symlink_to("pipe")
    with pytest.raises(ImageFileError, match="is no regular file"):
        read(tmp_path / "a.png")
