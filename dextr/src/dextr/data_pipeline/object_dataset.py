"""Annotated images, taken apart into single objects."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import Dataset

from dextr.data_pipeline import object_regions
from dextr.data_pipeline.image_files import PathLike
from dextr.data_pipeline.object_metadata import ObjectMetadata, fingerprint_of
from dextr.data_pipeline.sample import Sample

Transform: TypeAlias = Callable[[Sample], Any]
Progress: TypeAlias = Callable[[Iterable[int]], Iterable[int]]


class DextrDataset(Dataset[Any], ABC):
    """Annotated images, taken apart: one sample is one 4-connected region of one label of one image.

    A sample has `target_mask`, `target_mask_outline` and, with `load_input`, `input`; see `sample`. Subclasses give the
    images and annotations. They may set `IGNORE_INDEX`, on the class or, before this constructor runs, on the instance:
    pixels of this value belong to no object.

    Args:
        object_meta_path: file that keeps what was found in the annotations; it is made if missing, and again when an
            annotation, as listed by `annotation_paths`, has changed. None: look through the annotations each time.
        transform: applied to every sample; None leaves it as it is.
        load_input: False leaves the image out, which is enough to compare masks.
        progress_fn: given an iterable of image numbers, returns one that shows progress, such as tqdm.

    Attributes:
        obj_meta_indices: int64 (N, 3): image, label - 1, region (-1 if the label has one region in this image).
        obj_meta_outlines: N arrays int64 (M, 2), rows [y, x].

    Raises:
        ValueError: `object_meta_path` is some other file.
    """

    IGNORE_INDEX: int | None = None

    def __init__(
        self,
        object_meta_path: PathLike | None,
        transform: Transform | None,
        load_input: bool = True,
        progress_fn: Progress | None = None,
    ) -> None:
        self.transform = transform
        self.load_input = load_input
        metadata = self._load_or_find_objects(object_meta_path, progress_fn)
        self.obj_meta_indices = metadata.indices
        self.obj_meta_outlines = metadata.outlines

    @property
    @abstractmethod
    def num_images(self) -> int:
        """The number of images."""

    @abstractmethod
    def get_input_image_pil(self, img_i: int) -> Image.Image:
        """Image `img_i`."""

    @abstractmethod
    def get_instance_y_arr(self, img_i: int) -> NDArray[Any]:
        """The annotation of image `img_i`: labels (H, W), 0 for background, or a stack of masks (H, W, N)."""

    def annotation_paths(self) -> Sequence[PathLike]:
        """The files behind the annotations; stored metadata is discarded when one of them changes."""
        return ()

    def __len__(self) -> int:
        return len(self.obj_meta_indices)

    def __getitem__(self, index: int) -> Any:
        """The sample of object `index`, transformed.

        Raises:
            ValueError: its image and its annotation differ in size.
        """
        img_i, label_i, region = self.obj_meta_indices[index].tolist()
        outline = self.obj_meta_outlines[index]
        mask = self.get_label_mask(img_i, label_i)
        if region >= 0:
            mask = object_regions.region_at(mask, outline)
        sample: Sample = {
            "target_mask": Image.fromarray(mask.astype(np.uint8) * np.uint8(255)),
            "target_mask_outline": outline,
        }
        if self.load_input:
            image = self.get_input_image_pil(img_i)
            if image.size != (mask.shape[1], mask.shape[0]):
                raise ValueError(
                    f"image {img_i} has {image.size} pixels, its annotation {mask.shape[::-1]} (width, height)"
                )
            sample["input"] = image
        return sample if self.transform is None else self.transform(sample)

    def get_label_mask(self, img_i: int, label_i: int) -> NDArray[np.bool_]:
        """Where image `img_i` has the label `label_i` + 1: bool (H, W), all of its regions."""
        return self.get_label_mask_from_inst_y(self._without_ignored(self.get_instance_y_arr(img_i)), label_i)

    def get_num_labels_in_inst_y(self, inst_y: NDArray[Any]) -> int:
        """The highest label of an annotation, or the number of masks of a stack."""
        return inst_y.shape[2] if inst_y.ndim == 3 else int(self._without_ignored(inst_y).max(initial=0))

    @staticmethod
    def get_label_mask_from_inst_y(inst_y: NDArray[Any], object_i: int) -> NDArray[np.bool_]:
        """Where an annotation has the label `object_i` + 1, or the mask of this number: bool (H, W)."""
        mask: NDArray[np.bool_] = inst_y[:, :, object_i] > 0 if inst_y.ndim == 3 else inst_y == object_i + 1
        return mask

    @staticmethod
    def mask_outline(mask: NDArray[Any]) -> NDArray[np.int64]:
        """See `object_regions.mask_outline`."""
        return object_regions.mask_outline(mask)

    def _without_ignored(self, inst_y: NDArray[Any]) -> NDArray[Any]:
        return inst_y if self.IGNORE_INDEX is None else np.where(inst_y == self.IGNORE_INDEX, 0, inst_y)

    def _load_or_find_objects(self, path: PathLike | None, progress_fn: Progress | None) -> ObjectMetadata:
        if path is None:
            return self._find_objects(progress_fn)
        fingerprint = fingerprint_of(self.annotation_paths(), self.num_images, self.IGNORE_INDEX)
        metadata = ObjectMetadata.load(path, fingerprint)
        if metadata is None:
            metadata = self._find_objects(progress_fn)
            metadata.save(path, fingerprint)
        return metadata

    def _find_objects(self, progress_fn: Progress | None) -> ObjectMetadata:
        images: Iterable[int] = range(self.num_images)
        indices, outlines = [], []
        for img_i in images if progress_fn is None else progress_fn(images):
            annotation = self._without_ignored(self.get_instance_y_arr(img_i))
            for label, region, outline in object_regions.label_regions(annotation):
                indices.append((img_i, label - 1, region))
                outlines.append(outline)
        return ObjectMetadata(np.array(indices, dtype=np.int64).reshape(-1, 3), outlines)
