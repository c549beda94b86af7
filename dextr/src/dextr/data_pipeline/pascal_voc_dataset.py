"""The objects of Pascal VOC 2012's segmentation task (Everingham et al., IJCV 2015)."""

from __future__ import annotations

import os

from dextr.data_pipeline.file_datasets import LabelImageTargetDextrDataset
from dextr.data_pipeline.object_dataset import OnBadImage, Progress, Transform
from dextr.settings import data_directory

SPLITS = ("train", "val")


class PascalVOCDataset(LabelImageTargetDextrDataset):
    """One sample per connected region of an object; the pixels around objects, labelled 255, belong to none.

    The root, which is the directory that has `JPEGImages` in it, comes from `dextr.cfg`; see `settings`. If it can be
    written to, it also gets the file `dextr_objects_<split>.npz`, so that the annotations are searched only once.

    Args:
        split: "train" or "val".
        transform, load_input, progress_fn, on_bad_image: see `DextrDataset`.

    Attributes:
        root_dir: the root.
        sample_names: the names of the images, without extension.

    Raises:
        ValueError: another split.
        configparser.Error: `dextr.cfg` is missing or has no `pascal_voc` in its section `paths`.
        RuntimeError: the root does not exist.
        FileNotFoundError: the root lacks the list of the split, or a file that is in it.
    """

    IGNORE_INDEX = 255

    def __init__(
        self,
        split: str,
        transform: Transform | None,
        load_input: bool = True,
        progress_fn: Progress | None = None,
        on_bad_image: OnBadImage | None = None,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f"there is no split {split!r} of Pascal VOC; expected one of {', '.join(SPLITS)}")
        self.root_dir = data_directory("pascal_voc")
        names = (self.root_dir / "ImageSets" / "Segmentation" / f"{split}.txt").read_text(encoding="utf-8").split("\n")
        self.sample_names = sorted(name.strip() for name in names if name.strip())
        super().__init__(
            [self.root_dir / "JPEGImages" / f"{name}.jpg" for name in self.sample_names],
            [self.root_dir / "SegmentationObject" / f"{name}.png" for name in self.sample_names],
            transform,
            self.root_dir / f"dextr_objects_{split}.npz" if os.access(self.root_dir, os.W_OK) else None,
            self.IGNORE_INDEX,
            load_input,
            progress_fn,
            on_bad_image,
        )
