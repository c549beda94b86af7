"""Which annotation goes to which image."""

from __future__ import annotations

from pathlib import Path

import pytest

from dextr.data_pipeline.file_matching import match_files
from dextr.errors import DataError


def names(paths):
    return [path.name for path in paths]


def matched(images, targets):
    result = match_files([f"photos/{name}" for name in images], [f"masks/{name}" for name in targets])
    pairs = {image.name: names(paths) for image, paths in zip(result.images, result.targets, strict=True)}
    return pairs, names(result.unmatched_images), names(result.unmatched_targets)


def test_number_that_another_number_starts_with():
    for suffix in ("_label", "-label", "", "label"):
        targets = [f"img{number}{suffix}.png" for number in (1, 10, 2)]
        pairs, *unmatched = matched(["img1.jpg", "img10.jpg", "img2.jpg"], targets)
        assert pairs == {"img1.jpg": [targets[0]], "img10.jpg": [targets[1]], "img2.jpg": [targets[2]]}
        assert unmatched == [[], []]


def test_stacks_in_order():
    pairs, images, targets = matched(["b.jpg", "a.jpg"], ["a_2.png", "b_1.png", "a_1.png", "a.png", "c_1.png"])
    assert pairs == {"a.jpg": ["a.png", "a_1.png", "a_2.png"], "b.jpg": ["b_1.png"]}
    assert (images, targets) == ([], ["c_1.png"])


def test_left_over_files():
    pairs, images, targets = matched(["a.jpg", "b.jpg", "a.png"], ["a_mask.png", "x.png", "A.png"])
    assert pairs == {"a.jpg": ["a_mask.png"]}
    assert images == ["a.png", "b.jpg"]
    assert targets == ["A.png", "x.png"]
    assert matched([], []) == ({}, [], [])


def test_only_the_last_extension_is_left_out():
    pairs, images, _ = matched(["a.b.jpg", "a.jpg"], ["a.b.png", "a.b.mask.png"])
    assert pairs == {"a.b.jpg": ["a.b.mask.png", "a.b.png"]}
    assert images == ["a.jpg"]


def test_numbers_are_taken_whole():
    pairs, *unmatched = matched(
        ["1.jpg", "2.jpg", "cup1.jpg"], ["1.png", "10.png", "2_3.png", "cup10.png", "cup1a.png"]
    )
    assert pairs == {"1.jpg": ["1.png"], "2.jpg": ["2_3.png"], "cup1.jpg": ["cup1a.png"]}
    assert unmatched == [[], ["10.png", "cup10.png"]]


def test_images_of_the_same_name_in_two_folders():
    """Nothing tells which of them an annotation belongs to."""
    targets = ["cat/masks/1_a.png", "dog/masks/1_a.png"]
    with pytest.raises(DataError, match=r"cat/1\.jpg and dog/1\.png have the same name"):
        match_files(["cat/1.jpg", "dog/1.png"], targets)
    masks = match_files(["cat/1.jpg"], targets)  # may be kept by class
    assert masks.targets == [[Path(target) for target in targets]]
    with pytest.raises(DataError, match=r"cat/masks/1_a\.png and dog/masks/1_a\.png have the same name"):
        masks.one_target_each()


def test_files_that_are_not_used_may_have_the_same_name():
    found = match_files(["old/2.jpg", "raw/2.jpg", "1.jpg"], ["1.png", "1_a.png", "kept/1_a.png"])
    assert names(found.unmatched_images) == ["2.jpg", "2.jpg"]
    assert [names(paths) for paths in found.one_target_each().targets] == [["1.png"]]


def test_one_target_each_is_that_of_the_very_name():
    result = match_files(["x.jpg"], ["x.png", "x_1.png", "x_2.png"]).one_target_each()
    assert [names(paths) for paths in result.targets] == [["x.png"]]
    assert names(result.unmatched_targets) == ["x_1.png", "x_2.png"]


def test_one_target_each_is_else_the_last():
    result = match_files(["x.jpg", Path("y.jpg")], ["x_1.png", "x_2.png", Path("y.png"), "z.png"]).one_target_each()
    assert [names(paths) for paths in result.targets] == [["x_2.png"], ["y.png"]]
    assert names(result.unmatched_targets) == ["x_1.png", "z.png"]
