"""Annotated images, taken apart into single objects."""

from __future__ import annotations

import copy
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import Dataset

from dextr.data_pipeline import object_regions
from dextr.data_pipeline.image_files import PathLike, Size
from dextr.data_pipeline.object_metadata import ObjectMetadata, fingerprint_of
from dextr.data_pipeline.sample import Sample

Transform: TypeAlias = Callable[[Sample], Any]
Progress: TypeAlias = Callable[[Iterable[int]], Iterable[int]]
OnBadImage: TypeAlias = Callable[[int, Exception], object]
T = TypeVar("T")
Found: TypeAlias = list[tuple[int, int, object_regions.Outline]]

_THREADS = 8
# Methods of the original that its users may override.
_TAKING_APART = ("get_num_labels_in_inst_y", "get_label_mask_from_inst_y")


class _ClassOrInstanceMethod:
    """A method whose first argument is the instance or, where the class is asked for it, the class."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __get__(self, instance: object | None, owner: type) -> Callable[..., Any]:
        return partial(self.function, owner if instance is None else instance)


class SizedDataset(Protocol):
    """A data set of known length, such as `DextrDataset`."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class DextrDataset(Dataset[Any], ABC):
    """Annotated images, taken apart: one sample is one 4-connected region of one label of one image.

    A sample has `target_mask`, `target_mask_outline` and, with `load_input`, `input`; see `sample`. Subclasses give the
    images and annotations. They may set `IGNORE_INDEX`, on the class or, before this constructor runs, on the instance:
    pixels of this value belong to no object.

    Args:
        object_meta_path: file that keeps the metadata of the objects; it is made if missing, and again when an
            annotation, as listed by `annotation_paths`, has changed. None: look through the annotations each time.
        transform: applied to every sample; None leaves it as it is.
        load_input: False leaves the image out, which is enough to compare masks.
        progress_fn: given an iterable of image numbers, returns one that shows progress, such as tqdm.
        on_bad_image: called with the number of an image and an error where the image or its annotation cannot be read,
            or they differ in size; such an image has no objects. All are read for that, whatever is kept in a file.
            None: an unreadable annotation raises its error, and images are not looked at before they are needed.

    Attributes:
        obj_meta_indices: int64 (N, 3): image, label - 1, region (-1 if the label has one region in this image).
        obj_meta_outlines: N arrays int64 (M, 2), rows [y, x].

    Raises:
        ValueError: `object_meta_path` is some other file.
    """

    __module__ = "dextr.data_pipeline.dextr_dataset"  # its public name, as in the original

    IGNORE_INDEX: int | None = None

    def __init__(
        self,
        object_meta_path: PathLike | None,
        transform: Transform | None,
        load_input: bool = True,
        progress_fn: Progress | None = None,
        on_bad_image: OnBadImage | None = None,
    ) -> None:
        self.transform = transform
        self.load_input = load_input
        metadata = self._load_or_find_objects(object_meta_path, progress_fn, on_bad_image)
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

    def check_input_image(self, img_i: int) -> Size:
        """Height and width of image `img_i`.

        Raises:
            ImageFileError: it cannot be read to its end.
        """
        image = self.get_input_image_pil(img_i)
        return image.height, image.width

    def name_of(self, img_i: int) -> str:
        """The name of image `img_i` in messages."""
        return f"image {img_i}"

    def view(self, *, transform: Transform | None = None, load_input: bool = True) -> Self:
        """The same objects, not searched for again, with another transform."""
        other = copy.copy(self)
        other.transform, other.load_input = transform, load_input
        return other

    def of_images(self, images: Collection[int]) -> Self:
        """The objects of some of the images, not searched for again."""
        other = copy.copy(self)
        chosen = ObjectMetadata(self.obj_meta_indices, self.obj_meta_outlines).of_images(images)
        other.obj_meta_indices, other.obj_meta_outlines = chosen.indices, chosen.outlines
        return other

    def annotation_paths(self) -> Sequence[PathLike]:
        """The files behind the annotations; stored metadata is discarded when one of them changes."""
        return ()

    def __len__(self) -> int:
        return len(self.obj_meta_indices)

    def __getitem__(self, item: int) -> Any:
        """The sample of object `item`, transformed.

        Raises:
            ValueError: its image and its annotation differ in size.
        """
        img_i, label_i, region = self.obj_meta_indices[item].tolist()
        outline = self.obj_meta_outlines[item]
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
                raise ValueError(_unequal(self.name_of(img_i), image.size, mask.shape))
            sample["input"] = image
        return sample if self.transform is None else self.transform(sample)

    def get_label_mask(self, img_i: int, label_i: int) -> NDArray[np.bool_]:
        """Where image `img_i` has the label `label_i` + 1: bool (H, W), all of its regions."""
        return self.get_label_mask_from_inst_y(self._without_ignored(self.get_instance_y_arr(img_i)), label_i)

    @_ClassOrInstanceMethod  # of the class in the original, but an instance may have an IGNORE_INDEX of its own
    def get_num_labels_in_inst_y(self_or_cls: Any, inst_y: NDArray[Any]) -> int:
        """The highest label of an annotation, or the number of masks of a stack."""
        if inst_y.ndim == 3:
            return int(inst_y.shape[2])
        return int(_without_label(inst_y, self_or_cls.IGNORE_INDEX).max(initial=0))

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
        return _without_label(inst_y, self.IGNORE_INDEX)

    def _load_or_find_objects(
        self, path: PathLike | None, progress_fn: Progress | None, on_bad_image: OnBadImage | None
    ) -> ObjectMetadata:
        if path is None:
            return self._find_objects(progress_fn, on_bad_image)[0]
        fingerprint = fingerprint_of(self.annotation_paths(), self.num_images, self.IGNORE_INDEX)
        metadata = ObjectMetadata.load(path, fingerprint)
        if metadata is None:
            metadata, complete = self._find_objects(progress_fn, on_bad_image)
            if complete:
                metadata.save(path, fingerprint)
        elif on_bad_image is not None:
            # The images may have changed since.
            def check(img_i: int) -> None:  # gives nothing, so that no annotations pile up behind a slow one
                self._checked_annotation(img_i)

            good = self._each_image(check, progress_fn, on_bad_image)
            metadata = metadata.of_images([img_i for img_i, _ in good])
        return metadata

    def _find_objects(
        self, progress_fn: Progress | None, on_bad_image: OnBadImage | None
    ) -> tuple[ObjectMetadata, bool]:
        """The objects of all images; the flag is True if no image was bad."""
        indices, outlines, good = [], [], 0
        read = self._annotation if on_bad_image is None else self._checked_annotation

        def look(img_i: int) -> Found:
            return list(object_regions.label_regions(self._labels(read(img_i))))

        for img_i, objects in self._each_image(look, progress_fn, on_bad_image):
            good += 1
            for label, region, outline in objects:
                indices.append((img_i, label - 1, region))
                outlines.append(outline)
        return ObjectMetadata(np.array(indices, dtype=np.int64).reshape(-1, 3), outlines), good == self.num_images

    def _each_image(
        self, look: Callable[[int], T], progress_fn: Progress | None, on_bad_image: OnBadImage | None
    ) -> Iterator[tuple[int, T]]:
        """The numbers of the images that are not bad, with their results of `look`."""
        with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as threads:
            # Threads, as decoding files is most of the work, and PIL does it in parallel.
            numbers: Iterable[int] = range(self.num_images)
            found = threads.map(partial(_result_or_error, look), numbers)
            for img_i in numbers if progress_fn is None else progress_fn(numbers):
                result = next(found)
                if not isinstance(result, Exception):
                    yield img_i, result
                elif on_bad_image is not None:
                    on_bad_image(img_i, result)
                else:
                    threads.shutdown(cancel_futures=True)
                    raise result

    def _annotation(self, img_i: int) -> NDArray[Any]:
        return self._without_ignored(self.get_instance_y_arr(img_i))

    def _labels(self, annotation: NDArray[Any]) -> NDArray[Any]:
        """An annotation, or the masks in it, (H, W, N), where a subclass has its own way of taking labels apart."""
        ours = type(self).__mro__.index(DextrDataset)
        if not any(name in vars(kind) for kind in type(self).__mro__[:ours] for name in _TAKING_APART):
            return annotation
        count = self.get_num_labels_in_inst_y(annotation)
        masks = [self.get_label_mask_from_inst_y(annotation, object_i) for object_i in range(count)]
        return np.stack(masks, axis=-1) if masks else np.zeros((*annotation.shape[:2], 0), dtype=bool)

    def _checked_annotation(self, img_i: int) -> NDArray[Any]:
        annotation = self._annotation(img_i)
        height, width = self.check_input_image(img_i)
        if annotation.size and annotation.shape[:2] != (height, width):
            raise ValueError(_unequal(self.name_of(img_i), (width, height), annotation.shape))
        return annotation


def _without_label(inst_y: NDArray[Any], label: int | None) -> NDArray[Any]:
    return inst_y if label is None else np.where(inst_y == label, 0, inst_y)


def _result_or_error(look: Callable[[int], T], img_i: int) -> T | Exception:
    try:
        return look(img_i)
    except (OSError, ValueError) as error:
        return error


def _unequal(name: str, size: Size, annotation_shape: tuple[int, ...]) -> str:
    """`size` is (width, height), the annotation's shape begins with (height, width)."""
    return f"{name} has {size} pixels, its annotation {annotation_shape[1::-1]} (width, height); they must be equal"
