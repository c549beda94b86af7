"""The validation of a job, shared by its processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from dextr.data_pipeline.object_dataset import DextrDataset
from dextr.dextr_model import DextrModel
from dextr.train.batches import Batch, validation_batches, validation_set
from dextr.train.config import TrainConfig
from dextr.train.preview_sheet import PredictionSheet
from dextr.train.processes import Processes
from dextr.train.validation import ObjectFigures, Validation, validate


@dataclass(frozen=True)
class JobValidation:
    """Objects to validate on, and how.

    Attributes:
        objects: without a transform.
        config: of the training.
        processes: each takes every n-th object.
        amp: see `Trainer`.
    """

    objects: DextrDataset
    config: TrainConfig
    processes: Processes
    amp: torch.dtype | None

    def run(self, model: DextrModel, between_batches: Callable[[], object]) -> Validation:
        """The figures of all objects; the first process also draws the job's sheet of predictions."""
        processes, device = self.processes, self.processes.device
        processes.same_buffers(model.net)
        own = range(processes.rank, len(self.objects), processes.count)
        dataset = validation_set(self.objects.view, model.crop_settings, self.config.extreme_range)
        batch_size = self.config.batch_size // processes.count
        batches = validation_batches(dataset, batch_size, self.config.workers, device.type == "cuda", own)
        sheet = PredictionSheet(len(own))

        def watch(first: int, batch: Batch, masks: NDArray[np.uint8]) -> None:
            sheet.watch(first, batch, masks)
            between_batches()

        truth = self.objects.view(load_input=False)
        figures = validate(model.net, batches, truth, device, objects=own, amp=self.amp, watch=watch)
        if processes.is_first:
            sheet.save(self.config.files)
        everything = ObjectFigures()
        for shared in processes.gather(figures):
            everything.losses += shared.losses
            everything.ious += shared.ious
        return everything.mean()
