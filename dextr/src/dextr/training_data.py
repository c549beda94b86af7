"""The batches that training and validation work on."""

from __future__ import annotations

from collections.abc import Callable
from math import radians
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, RandomSampler
from torchvision.transforms import Compose

from dextr.data_pipeline.dextr_transforms import (
    DextrCropWithHeatmapTransform,
    DextrFindExtremesTransform,
    DextrNetworkInput,
    DextrTrainingTransform,
)
from dextr.data_pipeline.worker import start_worker
from dextr.repeat_sampler import RepeatSampler

if TYPE_CHECKING:
    from dextr.model import DextrModel

Batch: TypeAlias = dict[str, torch.Tensor]


class SizedDataset(Protocol):
    """A data set of known length, such as `DextrDataset`."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


DatasetFactory: TypeAlias = Callable[..., SizedDataset]


def training_set(
    make: DatasetFactory,
    model: DextrModel,
    *,
    extreme_range: int,
    noise_std: float,
    hflip: bool,
    rot_range: float,
    seed: int | None = None,
) -> SizedDataset:
    """The data set that `make` gives for the keyword `transform`, augmented for the model.

    See `DextrTrainingTransform`; `rot_range` is in degrees here.

    Raises:
        ValueError: it has no objects.
    """
    rng = None if seed is None else np.random.RandomState(seed)
    augment = DextrTrainingTransform(
        model.target_size_yx,
        model.padding,
        extreme_range,
        noise_std,
        model.blob_sigma,
        hflip,
        radians(rot_range),
        rng=rng,
    )
    return _not_empty(make(transform=Compose([augment, DextrNetworkInput()])), "training")


def validation_set(make: DatasetFactory, model: DextrModel, extreme_range: int, seed: int = 0) -> SizedDataset:
    """The data set that `make` gives for the keyword `transform`, cropped for the model at extreme points.

    The points of an object depend on `seed` and the object alone, so that one validation compares with another.

    Raises:
        ValueError: it has no objects.
    """
    size = model.target_size_yx
    find = DextrFindExtremesTransform(size, extreme_range, object_seed=seed)
    crop = DextrCropWithHeatmapTransform(size, model.padding, model.blob_sigma)
    return _not_empty(make(transform=Compose([find, crop, DextrNetworkInput()])), "validation")


def validation_truth(make: DatasetFactory, dataset: SizedDataset) -> SizedDataset:
    """The data set that `make` gives without arguments: the objects of a validation set before any transform.

    Raises:
        ValueError: it has more or fewer objects.
    """
    truth = make()
    if len(truth) != len(dataset):
        raise ValueError(f"the validation set has {len(dataset)} objects, its truth {len(truth)}; expected the same")
    return truth


def training_batches(
    dataset: SizedDataset, batch_size: int, num_workers: int = 0, seed: int | None = None, pin_memory: bool = False
) -> DataLoader[Any]:
    """Batches without end: one shuffle of the data set after the other, cut into batches that are always full.

    Args:
        dataset: gives dicts of tensors.
        batch_size: samples per batch.
        num_workers: processes that make the samples; 0 makes them in this one.
        seed: of the shuffles and the workers; None takes torch's own.
        pin_memory: for a faster way to a GPU.
    """
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    samples = cast("Dataset[Any]", dataset)
    return DataLoader(
        samples,
        batch_size,
        sampler=RepeatSampler(RandomSampler(dataset, generator=generator)),
        num_workers=num_workers,
        pin_memory=pin_memory,
        worker_init_fn=start_worker,
        generator=generator,
    )


def validation_batches(
    dataset: SizedDataset, batch_size: int, num_workers: int = 0, pin_memory: bool = False
) -> DataLoader[Any]:
    """The samples of a data set in their order, in batches; the last one may be smaller."""
    samples = cast("Dataset[Any]", dataset)
    return DataLoader(samples, batch_size, num_workers=num_workers, pin_memory=pin_memory, worker_init_fn=start_worker)


def _not_empty(dataset: SizedDataset, what: str) -> SizedDataset:
    if len(dataset) == 0:
        raise ValueError(f"the {what} set has no objects; expected at least one: check its files and its ignore index")
    return dataset
