"""Objects annotated in the format of COCO (Lin et al., "Microsoft COCO", ECCV 2014), read with pycocotools."""

from __future__ import annotations

import contextlib
import io
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dextr.data_pipeline.file_datasets import PhotoDataset
from dextr.data_pipeline.image_files import PathLike
from dextr.data_pipeline.object_dataset import OnBadImage, Progress, Transform


class CocoDataset(PhotoDataset):
    """One sample per connected region of an annotation. Crowds and annotations without an outline are left out.

    Args:
        image_dir: where the files are that the annotations name.
        annotation_path: the JSON file: polygons, or run lengths.
        transform, obj_meta_path, load_input, progress_fn, on_bad_image: see `DextrDataset`.

    Raises:
        ValueError: the file is not in the format of COCO's instances.
    """

    def __init__(
        self,
        image_dir: PathLike,
        annotation_path: PathLike,
        transform: Transform | None = None,
        obj_meta_path: PathLike | None = None,
        load_input: bool = True,
        progress_fn: Progress | None = None,
        on_bad_image: OnBadImage | None = None,
    ) -> None:
        self.annotation_path = annotation_path
        self._coco = _read(Path(annotation_path))
        images = [self._coco.imgs[number] for number in sorted(self._coco.imgs)]
        self._annotations = [_usable(self._coco.imgToAnns[image["id"]]) for image in images]
        paths = [Path(image_dir, image["file_name"]) for image in images]
        super().__init__(paths, None, obj_meta_path, transform, load_input, progress_fn, on_bad_image)

    def get_instance_y_arr(self, img_i: int) -> NDArray[Any]:
        """The masks of the annotations, uint8 (H, W, N); (0, 0, 0) if there are none."""
        masks = [self.get_label_mask(img_i, number) for number in range(len(self._annotations[img_i]))]
        return np.stack(masks, axis=-1) if masks else np.zeros((0, 0, 0), dtype=np.bool_)

    def get_label_mask(self, img_i: int, label_i: int) -> NDArray[np.bool_]:
        """Where annotation `label_i` of image `img_i` is: bool (H, W)."""
        annotation = self._annotations[img_i][label_i]
        try:
            mask: NDArray[np.bool_] = self._coco.annToMask(annotation) > 0
        except Exception as error:  # pycocotools raises plain ones
            raise ValueError(
                f"annotation {annotation.get('id')} of {self.name_of(img_i)} has a segmentation that cannot be read "
                f"({type(error).__name__}: {error}); expected polygons or run lengths"
            ) from error
        return mask

    def annotations_of(self, img_i: int) -> Sequence[PathLike]:
        """The JSON file, which all images share."""
        return [self.annotation_path]

    def annotation_paths(self) -> Sequence[PathLike]:
        """The JSON file."""
        return [self.annotation_path]


def _read(path: Path) -> Any:
    from pycocotools.coco import COCO

    # numpy 2 remarks on every mask that it makes.
    warnings.filterwarnings("ignore", "__array__ implementation doesn't accept a copy", DeprecationWarning)
    try:
        content = json.loads(path.read_bytes())
        coco = COCO()
        coco.dataset = content
        with contextlib.redirect_stdout(io.StringIO()):  # it tells of its progress
            coco.createIndex()
        _check(coco)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"{path} is no file of annotations in COCO's format ({type(error).__name__}: {error}); expected JSON with "
            "'images' (id, file_name, height, width) and 'annotations' (image_id, segmentation)"
        ) from error
    return coco


def _check(coco: Any) -> None:
    for image in coco.imgs.values():
        for key in ("file_name", "height", "width"):
            image[key]
    unknown = sorted(number for number in coco.imgToAnns if number not in coco.imgs)
    if unknown:
        raise ValueError(f"annotations name the image_id {unknown[0]}, which 'images' does not have")
    if not coco.imgs:
        raise ValueError("there are no 'images'")


def _usable(annotations: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for one in annotations if not one.get("iscrowd") and one.get("segmentation")]
