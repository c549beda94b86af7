"""The file that keeps what was found in the annotations."""

from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
from PIL import Image

from dextr.data_pipeline.dextr_dataset import LabelImageTargetDextrDataset


class Files:
    """A label image, and data sets that count how often they look through it."""

    def __init__(self, folder):
        self.labels = folder / "labels.png"
        self.cache = folder / "cache" / "objects.npz"
        self.searches = 0
        self.draw(1)

    def draw(self, objects):
        array = np.zeros((20, 100), dtype=np.uint8)
        for number in range(objects):
            array[5:15, 10 * number + 1 : 10 * number + 8] = number + 1
        Image.fromarray(array).save(self.labels)

    def dataset(self, **settings):
        def progress(images):
            self.searches += 1
            return images

        return LabelImageTargetDextrDataset(
            ["photo.jpg"], [self.labels], obj_meta_path=self.cache, progress_fn=progress, **settings
        )


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def test_second_time_the_file_is_used(files):
    files.draw(3)
    found, kept = files.dataset(), files.dataset()
    assert files.searches == 1
    np.testing.assert_array_equal(found.obj_meta_indices, kept.obj_meta_indices)
    assert len(found.obj_meta_outlines) == len(kept.obj_meta_outlines) == 3
    for one, other in zip(found.obj_meta_outlines, kept.obj_meta_outlines, strict=True):
        np.testing.assert_array_equal(one, other)
    assert [path.name for path in files.cache.parent.iterdir()] == ["objects.npz"]


def test_no_objects_are_kept_too(files):
    files.draw(0)
    for _ in range(2):
        dataset = files.dataset()
        assert dataset.obj_meta_indices.shape == (0, 3)
        assert dataset.obj_meta_outlines == []
    assert files.searches == 1


def test_changed_annotation_or_setting_starts_anew(files):
    assert len(files.dataset()) == 1
    files.draw(2)
    assert len(files.dataset()) == 2
    assert len(files.dataset(ignore_index=2)) == 1
    status = files.labels.stat()
    os.utime(files.labels, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    files.dataset(ignore_index=2)
    assert files.searches == 4


class Touch:
    """Unpickling this makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_other_files_are_neither_unpickled_nor_overwritten(files, tmp_path):
    files.cache.parent.mkdir()
    trap = tmp_path / "trap"
    array = np.empty(1, dtype=object)
    array[0] = Touch(trap)
    pickled, packed = pickle.dumps({"indices": Touch(trap)}), tmp_path / "packed.npz"
    np.savez(packed, format=array)
    for content in (pickled, packed.read_bytes(), b"", b"text", packed.read_bytes()[:60]):
        files.cache.write_bytes(content)
        with pytest.raises(ValueError, match=r"objects.npz does not hold object metadata.*remove it or name another"):
            files.dataset()
        assert files.cache.read_bytes() == content
    files.cache.write_bytes(pickled)
    with pytest.raises(ValueError, match=r"\(it is a pickle, as the original wrote\)"):
        files.dataset()
    with files.cache.open("wb") as file:
        np.savez(file, something=np.zeros(3))
    with pytest.raises(ValueError, match="does not hold object metadata"):
        files.dataset()
    assert not trap.exists()
