"""The order of the samples in a training, and their randomness, as functions of a seed and a place.

The stream has no state but the place: a training that goes on at some place continues it exactly, for any number
of workers, and several processes share it by taking every n-th place.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any, NamedTuple

import numpy as np
from torch.utils.data import Dataset, Sampler

from dextr.data_pipeline.object_dataset import SizedDataset
from dextr.data_pipeline.training_transform import DextrTrainingTransform

_MASK = 0xFFFFFFFF


class Place(NamedTuple):
    """A place in the stream, and the number of the sample that is there."""

    number: int
    sample: int


class SampleStream(Sampler[Place]):
    """One shuffle of a data set after the other, without end.

    Args:
        size: samples in the data set.
        seed: of the shuffles.
        first: the place to begin with.
        stride: the distance from one place to the next.
    """

    def __init__(self, size: int, seed: int, first: int = 0, stride: int = 1) -> None:
        self.size = size
        self.seed = seed
        self.first = first
        self.stride = stride

    def __iter__(self) -> Iterator[Place]:
        round_number, order = -1, np.arange(0)
        for number in count(self.first, self.stride):
            if number // self.size != round_number:
                round_number = number // self.size
                order = np.random.RandomState(_key(self.seed, round_number)).permutation(self.size)
            yield Place(number, int(order[number % self.size]))


class StreamedDataset(Dataset[Any]):
    """A data set asked by places: the draws of its augmentation follow from the seed and the place.

    Args:
        dataset: asked by the indices.
        augment: the transform in it that draws.
        seed: of the draws.
    """

    def __init__(self, dataset: SizedDataset, augment: DextrTrainingTransform, seed: int) -> None:
        self.dataset = dataset
        self.augment = augment
        self.seed = seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, place: Place) -> Any:
        self.augment.reseed(*self.random_key(place))
        return self.dataset[place.sample]

    def random_key(self, place: Place) -> tuple[int, ...]:
        """The key of the draws at a place; see `TransformRandom.reseed`."""
        return *_key(self.seed, place.number), 1


def _key(seed: int, number: int) -> tuple[int, ...]:
    return seed & _MASK, seed >> 32 & _MASK, number & _MASK, number >> 32
