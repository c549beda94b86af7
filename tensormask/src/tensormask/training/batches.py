"""Which images come when: shuffled without end, landscape and portrait apart, the same after a restart.

All of it follows from the seed, which a checkpoint keeps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, islice

import torch
from torch.utils.data import DataLoader, Sampler

from maskworks_torch.training.processes import Processes
from tensormask.config import Config
from tensormask.training.augmentation import Sample
from tensormask.training.coco_dataset import CocoDataset, Record

Batch = list[Sample]


class EndlessBatches(Sampler[list[tuple[int, int]]]):
    """Batches of (number of the image, seed of its augmentation) for one of several processes.

    Args:
        records: the images.
        size: of a batch of this process.
        seed: of shuffles and augmentation, the same in all processes.
        processes: this one among them.
        start: batches to leave out, because they were before an interruption.
        grouped: True for batches of images that are all upright or all wide.
    """

    def __init__(
        self, records: Sequence[Record], size: int, seed: int, processes: Processes, start: int, grouped: bool
    ) -> None:
        self._wide = [grouped and record.width > record.height for record in records]
        self._size, self._seed, self._processes, self._start = size, seed, processes, start

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return islice(self._batches(), self._start, None)

    def _batches(self) -> Iterator[list[tuple[int, int]]]:
        waiting: dict[bool, list[tuple[int, int]]] = {True: [], False: []}
        for number, index in islice(enumerate(self._images()), self._processes.rank, None, self._processes.count):
            group = waiting[self._wide[index]]
            group.append((index, self._seed + number))
            if len(group) == self._size:
                yield group.copy()
                group.clear()

    def _images(self) -> Iterator[int]:
        for epoch in count():
            generator = torch.Generator().manual_seed(self._seed + epoch)
            yield from torch.randperm(len(self._wide), generator=generator).tolist()


def loader(dataset: CocoDataset, config: Config, seed: int, processes: Processes, start: int) -> DataLoader[Sample]:
    """The batches of one process, from the `start`-th on, prepared by processes of their own.

    Raises:
        ValueError: the config's batch cannot be shared among the processes.
    """
    if config.ims_per_batch % processes.count:
        raise ValueError(
            f"SOLVER.IMS_PER_BATCH is {config.ims_per_batch}; expected a multiple of {processes.count} processes"
        )
    size = config.ims_per_batch // processes.count
    sampler = EndlessBatches(dataset.records, size, seed, processes, start, config.aspect_ratio_grouping)
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=config.num_workers,
        collate_fn=list,
        pin_memory=processes.device.type == "cuda",
    )
