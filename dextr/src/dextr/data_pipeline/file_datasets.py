"""Data sets in image files: label images, or stacks of masks."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dextr.data_pipeline.image_files import PathLike, Size, check_photo, read_labels, read_photo
from dextr.data_pipeline.object_dataset import DextrDataset, OnBadImage, Progress, Transform


class PhotoDataset(DextrDataset):
    """Base of the data sets whose images are files.

    Args:
        input_paths: the images.
        ignore_index: see `DextrDataset.IGNORE_INDEX`.
        object_meta_path, transform, load_input, progress_fn, on_bad_image: see `DextrDataset`.
    """

    def __init__(
        self,
        input_paths: Sequence[PathLike],
        ignore_index: int | None,
        object_meta_path: PathLike | None,
        transform: Transform | None,
        load_input: bool,
        progress_fn: Progress | None,
        on_bad_image: OnBadImage | None,
    ) -> None:
        self.input_paths = list(input_paths)
        self.IGNORE_INDEX = ignore_index
        super().__init__(object_meta_path, transform, load_input, progress_fn, on_bad_image)

    @property
    def num_images(self) -> int:
        """The number of images."""
        return len(self.input_paths)

    def get_input_image_pil(self, img_i: int) -> Image.Image:
        """Image `img_i`, in mode RGB."""
        return read_photo(self.input_paths[img_i])

    def check_input_image(self, img_i: int) -> Size:
        """Height and width of image `img_i`; see `image_files.check_photo`."""
        return check_photo(self.input_paths[img_i])

    def name_of(self, img_i: int) -> str:
        """The path of image `img_i`."""
        return str(self.input_paths[img_i])

    @abstractmethod
    def annotations_of(self, img_i: int) -> Sequence[PathLike]:
        """The files with the annotations of image `img_i`."""

    def annotation_paths(self) -> Sequence[PathLike]:
        """The annotations, image after image."""
        return [path for img_i in range(self.num_images) for path in self.annotations_of(img_i)]


class LabelImageTargetDextrDataset(PhotoDataset):
    """Images that each have a label image: one integer per pixel, 0 for background.

    Args:
        input_paths: the images.
        label_image_paths: the label images, in the same order: grey or palette, 8 or 16 bit.
        ignore_index: pixels of this label belong to no object.
        transform, obj_meta_path, load_input, progress_fn, on_bad_image: see `DextrDataset`.

    Raises:
        ValueError: unequal numbers of files, or a label image with colours.
    """

    __module__ = "dextr.data_pipeline.dextr_dataset"  # its public name, as in the original

    def __init__(
        self,
        input_paths: Sequence[PathLike],
        label_image_paths: Sequence[PathLike],
        transform: Transform | None = None,
        obj_meta_path: PathLike | None = None,
        ignore_index: int | None = None,
        load_input: bool = True,
        progress_fn: Progress | None = None,
        on_bad_image: OnBadImage | None = None,
    ) -> None:
        _check_equal(len(input_paths), len(label_image_paths), "label images")
        self.label_image_paths = list(label_image_paths)
        super().__init__(input_paths, ignore_index, obj_meta_path, transform, load_input, progress_fn, on_bad_image)

    def get_instance_y_arr(self, sample_i: int) -> NDArray[Any]:
        """The label image of image `sample_i`, (H, W)."""
        return read_labels(self.label_image_paths[sample_i])

    def annotations_of(self, img_i: int) -> Sequence[PathLike]:
        """The label image."""
        return [self.label_image_paths[img_i]]


class MaskStackTargetDextrDataset(PhotoDataset):
    """Images that each have any number of masks: files that are not 0 where the object is.

    Args:
        input_paths: the images.
        mask_stack_paths: per image the files of its masks, all of the image's size: grey or palette.
        ignore_index: pixels of this value are not part of the object, like those of value 0.
        transform, obj_meta_path, load_input, progress_fn, on_bad_image: see `DextrDataset`.

    Raises:
        ValueError: unequal numbers of images and stacks, a mask with colours, or masks of unequal size.
    """

    __module__ = "dextr.data_pipeline.dextr_dataset"  # its public name, as in the original

    def __init__(
        self,
        input_paths: Sequence[PathLike],
        mask_stack_paths: Sequence[Sequence[PathLike]],
        transform: Transform | None = None,
        obj_meta_path: PathLike | None = None,
        ignore_index: int | None = None,
        load_input: bool = True,
        progress_fn: Progress | None = None,
        on_bad_image: OnBadImage | None = None,
    ) -> None:
        _check_equal(len(input_paths), len(mask_stack_paths), "stacks of masks")
        self.mask_stack_paths = [list(paths) for paths in mask_stack_paths]
        super().__init__(input_paths, ignore_index, obj_meta_path, transform, load_input, progress_fn, on_bad_image)

    def get_instance_y_arr(self, sample_i: int) -> NDArray[Any]:
        """The masks of image `sample_i` as they are in their files, (H, W, N); (0, 0, 0) if there are none."""
        masks = [read_labels(path) for path in self.mask_stack_paths[sample_i]]
        sizes = {mask.shape for mask in masks}
        if len(sizes) > 1:
            raise ValueError(
                f"the masks of {self.input_paths[sample_i]} differ in size: (height, width) {sorted(sizes)}"
            )
        return np.stack(masks, axis=-1) if masks else np.zeros((0, 0, 0), dtype=np.uint8)

    def get_label_mask(self, img_i: int, label_i: int) -> NDArray[np.bool_]:
        """Mask `label_i` of image `img_i`, read without the others: bool (H, W)."""
        return self._without_ignored(read_labels(self.mask_stack_paths[img_i][label_i])) > 0

    def annotations_of(self, img_i: int) -> Sequence[PathLike]:
        """The masks."""
        return self.mask_stack_paths[img_i]


def _check_equal(images: int, annotations: int, what: str) -> None:
    if images != annotations:
        raise ValueError(f"there are {images} images and {annotations} {what}; expected one for each image")
