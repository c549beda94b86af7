"""The objects that a training works on, found and checked before it starts."""

from __future__ import annotations

import configparser
import glob
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dextr.data_pipeline.coco_dataset import CocoDataset
from dextr.data_pipeline.file_datasets import LabelImageTargetDextrDataset, MaskStackTargetDextrDataset, PhotoDataset
from dextr.data_pipeline.file_matching import MatchedFiles, match_files
from dextr.data_pipeline.object_dataset import OnBadImage, Progress
from dextr.data_pipeline.pascal_voc_dataset import PascalVOCDataset
from dextr.errors import DataError
from dextr.train.config import TrainConfig
from dextr.train.job_log import Say

# Makes a data set, given `progress_fn` and `on_bad_image`.
Source = Callable[..., PhotoDataset]

_SHOWN = 3
_BAD_SHOWN = 20


@dataclass(frozen=True)
class ObjectSets:
    """The data sets of a training, without transforms; `validation` is None if there is none."""

    training: PhotoDataset
    validation: PhotoDataset | None

    def digest(self) -> int:
        """A number that tells these objects from others."""
        return zlib.crc32(self.training.obj_meta_indices.tobytes()) ^ len(self.training)


def find_objects(config: TrainConfig, say: Say) -> ObjectSets:
    """Look through all annotations and images, and report the objects.

    Raises:
        DataError: nothing matches, a file cannot be read or fits badly, or there are no objects.
    """
    say("Dataset:")
    training = _found("training", _source(config, "train", say), config.skip_bad, say)
    validation = None
    if config.val_fraction:
        training, validation = _split(training, config.val_fraction)
        counts = ", ".join(
            f"{_counted(one)} to {verb} on" for one, verb in ((training, "train"), (validation, "validate"))
        )
        say(f"--val_fraction: {counts}")
    elif config.dataset == "pascal_voc" or config.val_image_pat or config.val_annotations:
        validation = _found("validation", _source(config, "val", say), config.skip_bad, say)
    say(f"len(train_ds)={len(training)}")
    if validation is not None:
        say(f"len(val_ds)={len(validation)}")
    return ObjectSets(training, validation)


def _source(config: TrainConfig, split: str, say: Say) -> Source:
    if config.dataset == "pascal_voc":
        return partial(PascalVOCDataset, split, None)
    if config.dataset == "coco":
        folder, annotations = (getattr(config, f"{split}_{name}") for name in ("image_dir", "annotations"))
        return partial(CocoDataset, folder, annotations)
    patterns = [getattr(config, f"{split}_{name}_pat") for name in ("image", "target")]
    matched = _matched(split, *patterns)
    if config.dataset == "custom_mask":
        _say_unmatched(matched, say)
        return partial(
            MaskStackTargetDextrDataset, matched.images, matched.targets, ignore_index=config.label_ignore_index
        )
    matched = matched.one_target_each()
    _say_unmatched(matched, say)
    labels = [paths[0] for paths in matched.targets]
    return partial(LabelImageTargetDextrDataset, matched.images, labels, ignore_index=config.label_ignore_index)


def _matched(split: str, image_pattern: str, target_pattern: str) -> MatchedFiles:
    images, targets = (_files(pattern) for pattern in (image_pattern, target_pattern))
    for name, pattern, files in (("image", image_pattern, images), ("target", target_pattern, targets)):
        if not files:
            raise DataError(f"--{split}_{name}_pat: no file matches {pattern}; correct the pattern (quotes help)")
    matched = match_files(images, targets)
    if not matched.images:
        raise DataError(
            f"none of the {len(targets)} files of --{split}_target_pat belongs to one of the {len(images)} files of "
            f"--{split}_image_pat: the name of a label image or mask has to start with its image's name (photo1.jpg: "
            f"photo1.png or photo1_label.png, but not photo12.png, which is of photo12.jpg); here are for example "
            f"{min(images).name} and {min(targets).name}"
        )
    return matched


def _files(pattern: str) -> list[Path]:
    # Unlike those of pathlib, these patterns may be absolute.
    found = map(Path, glob.glob(str(Path(pattern).expanduser()), recursive=True))  # noqa: PTH207
    return [path for path in found if path.is_file()]


def _say_unmatched(matched: MatchedFiles, say: Say) -> None:
    for what, paths in (
        ("images without annotation", matched.unmatched_images),
        ("annotations without image", matched.unmatched_targets),
    ):
        if paths:
            say(f"  left out, {what}: {len(paths)} ({_few([path.name for path in paths])})")


def _found(what: str, source: Source, skip_bad: bool, say: Say) -> PhotoDataset:
    bad: list[str] = []

    def on_bad_image(_: int, error: Exception) -> None:
        bad.append(str(error))

    progress: Progress = partial(tqdm, desc=f"{what} images", unit="img", leave=False, disable=None)
    dataset = _open(source, progress, on_bad_image)
    if bad and not skip_bad:
        raise DataError(
            "\n  ".join(
                [f"{len(bad)} files of the {what} set are bad (--skip_bad leaves them out):", *bad[:_BAD_SHOWN]]
            )
        )
    with_objects = _images(dataset)
    empty = dataset.num_images - len(with_objects) - len(bad)
    say(f"{what}: {_counted(dataset)}")
    for img_i in with_objects[:_SHOWN]:
        count = int((dataset.obj_meta_indices[:, 0] == img_i).sum())
        files = _few([str(path) for path in dataset.annotations_of(img_i)])
        say(f"  {dataset.name_of(img_i)}: {_number(count, 'object')} in {files}")
    if empty:
        say(f"  left out, images without objects: {empty}")
    for problem in bad:
        say(f"  left out: {problem}")
    if not with_objects:
        raise DataError(
            f"the {what} set has no objects; expected at least one: check its files and --label_ignore_index"
        )
    return dataset


def _open(source: Source, progress: Progress, on_bad_image: OnBadImage) -> PhotoDataset:
    try:
        return source(progress_fn=progress, on_bad_image=on_bad_image)
    except (OSError, ValueError, RuntimeError, configparser.Error) as error:
        raise DataError(str(error)) from error


def _split(dataset: PhotoDataset, share: float) -> tuple[PhotoDataset, PhotoDataset]:
    """Whole images go to one side: objects of an image look alike.

    Which ones follows from their names alone: a job that goes on from another's model must not be judged by what that
    one was trained on, also if some more images have been added.
    """
    images = _images(dataset)
    if len(images) < 2:
        raise DataError("--val_fraction: there is one image with objects; expected two or more to hold one back")
    shuffled = sorted(images, key=lambda img_i: (zlib.crc32(Path(dataset.name_of(img_i)).name.encode()), img_i))
    held_back = min(max(round(share * len(images)), 1), len(images) - 1)
    return dataset.of_images(shuffled[held_back:]), dataset.of_images(shuffled[:held_back])


def _images(dataset: PhotoDataset) -> list[int]:
    """The images that have objects."""
    numbers: list[int] = np.unique(dataset.obj_meta_indices[:, 0]).tolist()
    return numbers


def _counted(dataset: PhotoDataset) -> str:
    return f"{_number(len(dataset), 'object')} in {_number(len(_images(dataset)), 'image')}"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _few(names: Sequence[str]) -> str:
    return ", ".join([*names[:_SHOWN], *(["..."] if len(names) > _SHOWN else [])])
