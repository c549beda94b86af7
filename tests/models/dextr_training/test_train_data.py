"""What the training program finds in a data set, and what it says about a bad one."""

from __future__ import annotations

import json
import re
import shutil
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as run_lengths

from dextr.data_pipeline.coco_dataset import CocoDataset
from dextr.data_pipeline.file_datasets import LabelImageTargetDextrDataset
from dextr.train.__main__ import main
from dextr.train.config import TrainConfig
from dextr.train.object_sets import find_objects
from tests.support.dextr_training_command import LABELS, MASKS, SMALL, curve, draw_ellipses

SHORT = ("--num_epochs=1", "--iters_per_epoch=1")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return draw_ellipses(tmp_path, 4)


def said_about(capsys, *flags, code=0, job="job"):
    """What a short run says: its lines, or its error."""
    assert main([job, *SMALL, *SHORT, *flags]) == code
    said = capsys.readouterr()
    return said.err if code else said.out.splitlines()


def test_every_kind_of_file_data_set_has_the_same_objects(folder, capsys):
    write_coco(folder)
    coco = ("--dataset=coco", "--train_image_dir=images", "--train_annotations=coco.json")
    found = [said_about(capsys, *flags, job=flags[0][10:]) for flags in (LABELS, MASKS, coco)]
    assert all("training: 6 objects in 4 images" in lines for lines in found)
    assert "  images/photo0.png: 1 object in coco.json" in found[2]
    losses = {curve(folder, job, "loss")[0] for job in ("custom_label", "custom_mask", "coco")}
    assert len(losses) == 1


def write_coco(folder):
    """The masks as run lengths, but for the first one, a rectangle as polygon; a crowd and an empty annotation."""
    images, annotations = [], []
    for number, path in enumerate(sorted((folder / "images").glob("*.png"))):
        images.append({"id": number + 10, "file_name": path.name, "height": 60, "width": 80})
        for mask in sorted((folder / "masks").glob(f"{path.stem}_*.png")):
            pixels = np.asfortranarray(np.asarray(Image.open(mask)) > 0, dtype=np.uint8)
            code = run_lengths.encode(pixels)
            segmentation = {"size": code["size"], "counts": code["counts"].decode()}
            annotations.append({"image_id": number + 10, "segmentation": segmentation, "iscrowd": 0})
    annotations.append({"image_id": 10, "segmentation": annotations[0]["segmentation"], "iscrowd": 1})
    annotations.append({"image_id": 11, "segmentation": [], "iscrowd": 0})
    annotations = [{"id": number, "category_id": 1, **one} for number, one in enumerate(annotations)]
    (folder / "coco.json").write_text(json.dumps({"images": images, "annotations": annotations, "categories": []}))


def test_coco_polygons_and_files_that_are_none(folder):
    image = {"id": 1, "file_name": "photo0.png", "height": 60, "width": 80}
    annotation = {"id": 5, "image_id": 1, "category_id": 1, "segmentation": [[10, 20, 30, 20, 30, 50, 10, 50]]}
    path = folder / "coco.json"

    def dataset(**changes):
        path.write_text(json.dumps({"images": [image], "annotations": [annotation], **changes}))
        return CocoDataset(folder / "images", path)

    sample = dataset()[0]
    rows, columns = np.nonzero(np.asarray(sample["target_mask"]))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (20, 49, 10, 29)
    assert sample["input"].size == (80, 60)
    for changes, message in (
        ({"images": []}, "image_id 1, which 'images' does not have"),
        ({"images": [{"id": 1}]}, "file_name"),
        ({"images": 3}, "expected JSON with 'images'"),
        ({"images": [], "annotations": []}, "there are no 'images'"),
        ({"annotations": [{**annotation, "segmentation": [["x"]]}]}, "annotation 5 of .*photo0.png has a segmentation"),
    ):
        with pytest.raises(ValueError, match=message):
            dataset(**changes)
    path.write_text("[1, 2")
    with pytest.raises(ValueError, match="no file of annotations in COCO's format"):
        CocoDataset(folder / "images", path)


def test_pascal_voc(folder, capsys):
    voc = folder / "voc"
    for name in ("ImageSets/Segmentation", "JPEGImages", "SegmentationObject"):
        (voc / name).mkdir(parents=True)
    for number in range(4):
        Image.open(f"images/photo{number}.png").save(voc / "JPEGImages" / f"{number}.jpg")
        Image.open(f"labels/photo{number}_labels.png").save(voc / "SegmentationObject" / f"{number}.png")
    (voc / "ImageSets" / "Segmentation" / "train.txt").write_text("0\n1\n2\n")
    (voc / "ImageSets" / "Segmentation" / "val.txt").write_text("3\n")
    assert "dextr.cfg does not exist" in said_about(capsys, code=2, job="early")
    (folder / "dextr.cfg").write_text("[paths]\npascal_voc = voc\n")
    said = said_about(capsys)
    assert "training: 4 objects in 3 images" in said
    assert "validation: 2 objects in 1 image" in said


def test_what_is_left_over_is_told(folder, capsys):
    Image.new("L", (80, 60)).save("labels/photo2_labels.png")
    Image.new("L", (80, 60)).save("labels/stranger.png")
    (folder / "labels" / "photo3_labels.png").unlink()
    said = said_about(capsys, *LABELS)
    assert "training: 3 objects in 2 images" in said
    assert "  left out, images without annotation: 1 (photo3.png)" in said
    assert "  left out, annotations without image: 1 (stranger.png)" in said
    assert "  left out, images without objects: 1" in said


def test_bad_files_are_named_or_left_out(folder, capsys):
    Image.new("RGB", (80, 60)).save("labels/photo0_labels.png")
    Image.new("L", (81, 60)).save("labels/photo1_labels.png")
    photo = folder / "images" / "photo2.png"
    photo.write_bytes(photo.read_bytes()[:2000])
    said = said_about(capsys, *LABELS, code=2)
    assert "3 files of the training set are bad (--skip_bad leaves them out):" in said
    assert "photo0_labels.png has the mode RGB; expected one integer per pixel" in said
    assert "images/photo1.png has (80, 60) pixels, its annotation (81, 60) (width, height)" in said
    assert "images/photo2.png cannot be read" in said
    said = said_about(capsys, *LABELS, "--skip_bad")  # the same job: it had not begun
    assert "training: 2 objects in 1 image" in said
    assert sum(line.startswith("  left out: ") for line in said) == 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP"])
def test_files_cut_off_anywhere_are_noticed(folder, kind):
    photo, label = folder / "images" / "photo0.png", folder / "labels" / "photo0_labels.png"
    random = np.random.RandomState(0).randint(0, 256, (60, 80, 3)).astype(np.uint8)
    Image.fromarray(random).save(photo, kind)
    whole = photo.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) * 9 // 10):
        photo.write_bytes(whole[:length])
        bad = {}
        dataset = LabelImageTargetDextrDataset([photo], [label], on_bad_image=bad.__setitem__)
        assert len(dataset) == 0
        assert "photo0.png cannot be read" in str(bad[0])


def test_nothing_matches(folder, capsys):
    assert "--train_image_pat: no file matches nothing/*.jpg" in said_about(
        capsys, "--dataset=custom_label", "--train_image_pat=nothing/*.jpg", "--train_target_pat=labels/*", code=2
    )
    for path in (folder / "labels").iterdir():
        path.rename(path.with_name(f"x{path.name}"))
    said = said_about(capsys, *LABELS, code=2, job="second")
    assert "none of the 4 files of --train_target_pat belongs to one of the 4 files of --train_image_pat" in said
    assert "photo0.png and xphoto0_labels.png" in said


def test_no_objects(folder, capsys):
    for path in (folder / "labels").iterdir():
        Image.new("L", (80, 60), 255).save(path)
    said = said_about(capsys, *LABELS, "--label_ignore_index=255", code=2)
    assert "the training set has no objects" in said


def test_whole_images_are_held_back(folder, capsys):
    said = said_about(capsys, *LABELS, "--val_fraction=0.5")
    (line,) = [line for line in said if line.startswith("--val_fraction: ")]
    objects = [int(number) for number in re.findall(r"(\d+) objects? in 2 images", line)]
    assert len(objects) == 2
    assert sum(objects) == 6
    assert f"len(train_ds)={objects[0]}" in said
    assert f"len(val_ds)={objects[1]}" in said
    for number in (1, 2, 3):
        (folder / "images" / f"photo{number}.png").unlink()
    said = said_about(capsys, *LABELS, "--val_fraction=0.5", code=2, job="one")
    assert "there is one image with objects; expected two or more" in said


@pytest.mark.parametrize("seed", [None, 3, 2**62 - 1])
def test_the_same_images_are_held_back_in_every_job(folder, seed):
    config = TrainConfig(
        seed=seed,
        job_name="job",
        dataset="custom_label",
        train_image_pat="images/*",
        train_target_pat="labels/*",
        val_fraction=0.25,
    )
    (held_back,) = np.unique(find_objects(config, str).validation.obj_meta_indices[:, 0])
    assert held_back == min(range(4), key=lambda number: zlib.crc32(f"photo{number}.png".encode()))
    for photo in [*folder.glob("images/photo0*"), *folder.glob("labels/photo0*")]:
        for added in ("a", "z"):
            shutil.copy(photo, photo.with_name(photo.name.replace("photo0", added)))
    found = find_objects(config, str).validation
    names = {Path(found.name_of(image)).name for image in found.obj_meta_indices[:, 0].tolist()}
    assert names <= {f"photo{held_back}.png", "a.png", "z.png"}  # nothing that was trained on


def test_the_same_names_in_two_folders(folder, capsys):
    for name in ("cat", "dog"):
        draw_ellipses(folder / name, 2)
    flags = ("--dataset=custom_mask", "--train_image_pat=*/images/*", "--train_target_pat=*/masks/*")
    said = said_about(capsys, *flags, code=2)
    assert "cat/images/photo0.png and dog/images/photo0.png have the same name" in said
    assert "narrow the pattern" in said


def test_views_share_what_was_found(folder):
    paths = [sorted((folder / name).iterdir()) for name in ("images", "labels")]
    dataset = LabelImageTargetDextrDataset(*paths)
    some = dataset.of_images([1, 3])
    assert some.obj_meta_indices[:, 0].tolist() == [1, 1, 3, 3]
    assert len(dataset) == 6
    view = some.view(transform=sorted, load_input=False)
    assert view[0] == ["target_mask", "target_mask_outline"]
    assert set(some[0]) == {"input", "target_mask", "target_mask_outline"}
    for number, index in enumerate((1, 2, 4, 5)):
        np.testing.assert_array_equal(some[number]["target_mask"], dataset[index]["target_mask"])
