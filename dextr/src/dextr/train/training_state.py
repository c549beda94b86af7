"""The state of an interrupted training, kept in the job's checkpoint beside the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from dextr.checkpoint_files import checkpoints, torch_file
from dextr.checkpoint_files.checkpoints import Checkpoint
from dextr.dextr_model import DextrModel
from dextr.errors import CheckpointError, DataError
from dextr.train.job_files import JobFiles, check_space, replace_file
from dextr.train.trainer import Trainer

_KEY = "training"
_MARGIN = 16_000_000


@dataclass
class TrainingState:
    """Where a training is, but for weights, optimiser and schedule. Plain values all.

    Attributes:
        seed: of order, augmentation and dropout.
        settings: of `TrainConfig.fixed`.
        objects: the digest of `ObjectSets.digest`.
        epoch: epochs that are done, validation included.
        losses: of the steps in the epoch that is not done.
        best_miou, best_epoch: of the best validation, the epoch counted from 1; -1 and 0 if there was none.
        validations_since_best: how many there were since.
    """

    seed: int
    settings: dict[str, Any]
    objects: int
    epoch: int = 0
    losses: list[float] = field(default_factory=list)
    best_miou: float = -1.0
    best_epoch: int = 0
    validations_since_best: int = 0

    def is_best(self, miou: float) -> bool:
        """Note a validation; True if it is the best so far."""
        if not miou > self.best_miou:  # also if it is not a number
            self.validations_since_best += 1
            return False
        self.best_miou, self.best_epoch, self.validations_since_best = miou, self.epoch + 1, 0
        return True


def save(files: JobFiles, model: DextrModel, trainer: Trainer, state: TrainingState) -> None:
    """Write the job's checkpoint.

    Raises:
        TrainingError: it cannot be written; the one before is kept.
    """
    values = {**model.checkpoint().as_dict(), _KEY: {**asdict(state), "trainer": trainer.state_dict()}}
    replace_file(files.checkpoint, lambda file: torch.save(values, file))


def save_best(files: JobFiles, model: DextrModel) -> None:
    """Write the model alone.

    Raises:
        TrainingError: as for `save`.
    """
    replace_file(files.best, lambda file: torch.save(model.checkpoint().as_dict(), file))


@dataclass(frozen=True)
class Resumed:
    """A checkpoint to go on from: the model, the state, and the trainer's own."""

    model: Checkpoint
    state: TrainingState
    trainer: dict[str, Any]


def load(path: Path) -> Resumed:
    """The checkpoint that `save` wrote, read without running code from it.

    Raises:
        CheckpointError: it is something else, or broken.
    """
    values = torch_file.read(path)
    model = checkpoints.from_object(values, str(path))
    try:
        training = dict(values[_KEY])
        trainer = training.pop("trainer")
        return Resumed(model, TrainingState(**training), trainer)
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} holds a model, but not the state of its training ({error}): --resume cannot go on from it; "
            f"start a new job with --load_model {path}"
        ) from error


def check_same(resumed: TrainingState, settings: dict[str, Any], objects: int) -> None:
    """See to it that a training goes on with the settings and objects that it began with.

    Raises:
        DataError: it would not.
    """
    changed = [
        f"--{name}: is {value}, was {resumed.settings.get(name)} when the job began; it cannot change with --resume"
        for name, value in settings.items()
        if resumed.settings.get(name) != value
    ]
    if objects != resumed.objects:
        changed.append("the objects to train on are not those that the job began with; bring them back")
    if changed:
        raise DataError("\n".join([*changed, "or start a new job, with --load_model to go on from this one's weights"]))


def check_room(files: JobFiles, net: torch.nn.Module, opt_type: str) -> None:
    """See to it that the checkpoints of a training fit on the disk: the last, the next, and the best.

    Raises:
        TrainingError: they do not.
    """
    weights = _bytes(list(net.state_dict().values()))
    state = _bytes(list(net.parameters())) * (2 if opt_type == "adam" else 1)
    there = sum(path.stat().st_size for path in (files.checkpoint, files.best) if path.exists())
    check_space(files.checkpoint, 2 * (weights + state) + weights + _MARGIN - there)


def _bytes(tensors: Sequence[torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
