"""The batches of training and validation; `data_pipeline.batch_items` has their content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import radians
from typing import Any, TypeAlias

import torch
from torch.utils.data import DataLoader, Subset

from dextr.data_pipeline.batch_items import TrainingItem, ValidationItem
from dextr.data_pipeline.dextr_transforms import DextrFindExtremesTransform, DextrTrainingTransform
from dextr.data_pipeline.object_dataset import SizedDataset
from dextr.inference.crop import CropSettings
from dextr.inference.heatmap import Combine
from dextr.inference.network_input import normalise_batch
from dextr.train.loader_worker import start_worker
from dextr.train.sample_stream import SampleStream, StreamedDataset

Batch: TypeAlias = dict[str, torch.Tensor]
DatasetFactory: TypeAlias = Callable[..., SizedDataset]


def training_set(
    make: DatasetFactory,
    settings: CropSettings,
    *,
    extreme_range: int,
    noise_std: float,
    hflip: bool,
    rot_range: float,
    seed: int,
    whole_pixels: bool = False,
) -> StreamedDataset:
    """The data set that `make` gives for the keyword `transform`, augmented for a net of these settings.

    See `DextrTrainingTransform`; `rot_range` is in degrees here. The augmentation follows from the seed and the place
    of a sample in the training.

    Raises:
        ValueError: it has no objects.
    """
    augment = DextrTrainingTransform(
        settings.target_size_yx,
        settings.padding,
        extreme_range,
        noise_std,
        settings.blob_sigma,
        hflip,
        radians(rot_range),
        whole_pixels=whole_pixels,
    )
    return StreamedDataset(_not_empty(make(transform=TrainingItem(augment)), "training"), augment, seed)


def validation_set(make: DatasetFactory, settings: CropSettings, extreme_range: int, seed: int = 0) -> SizedDataset:
    """The data set that `make` gives for the keyword `transform`, cropped at extreme points for such a net.

    The points of an object depend on `seed` and the object alone, so that one validation compares with another.

    Raises:
        ValueError: it has no objects.
    """
    find = DextrFindExtremesTransform(settings.target_size_yx, extreme_range, object_seed=seed)
    return _not_empty(make(transform=ValidationItem(find, settings.padding, settings.blob_sigma)), "validation")


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
    dataset: StreamedDataset,
    batch_size: int,
    num_workers: int = 0,
    pin_memory: bool = False,
    *,
    first: int = 0,
    stride: int = 1,
) -> DataLoader[Any]:
    """Batches without end: one shuffle of the data set after the other, cut into batches that are always full.

    Args:
        dataset: gives dicts of tensors.
        batch_size: samples per batch.
        num_workers: processes that make the samples; 0 makes them in this one. The batches do not depend on it.
        pin_memory: for a faster way to a GPU.
        first, stride: see `SampleStream`.
    """
    return DataLoader(
        dataset,
        batch_size,
        sampler=SampleStream(len(dataset), dataset.seed, first, stride),
        num_workers=num_workers,
        pin_memory=pin_memory,
        worker_init_fn=start_worker,
        generator=torch.Generator(),  # else every start of workers draws from torch's own
    )


def validation_batches(
    dataset: SizedDataset,
    batch_size: int,
    num_workers: int = 0,
    pin_memory: bool = False,
    objects: Sequence[int] | None = None,
) -> DataLoader[Any]:
    """The samples of a data set in their order, or those of some objects, in batches; the last one may be smaller."""
    return DataLoader(
        Subset(dataset, range(len(dataset)) if objects is None else objects),  # type: ignore[arg-type]  # has no base
        batch_size,
        num_workers=num_workers,
        pin_memory=pin_memory,
        worker_init_fn=start_worker,
        generator=torch.Generator(),
    )


def network_batch(batch: Batch, device: torch.device, combine: Combine) -> tuple[torch.Tensor, torch.Tensor]:
    """The network's input (N, 4, h, w) and target (N, 1, h, w), 0 to 1, of a batch: float32, on the device.

    `combine` says how the heat map's Gaussians meet: in their maximum in training, added in validation.
    """
    crops, rows, columns, mask = (
        batch[name].to(device, non_blocking=True) for name in ("crop", "heat_rows", "heat_columns", "target_mask")
    )
    return normalise_batch(crops, rows, columns, combine), mask[:, None].float().div_(255)


def _not_empty(dataset: SizedDataset, what: str) -> SizedDataset:
    if len(dataset) == 0:
        raise ValueError(f"the {what} set has no objects; expected at least one: check its files and its ignore index")
    return dataset
