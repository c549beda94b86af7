"""Checkpoints of a training: complete or not there, and the way back from the last one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import SGD
from torch.optim.lr_scheduler import LambdaLR

from maskworks.atomic_write import replacing, write_file
from maskworks_torch.checkpoints import load_torch
from tensormask.errors import CheckpointError

_LAST, _DRAFT = "last_checkpoint", ".checkpoint.part"


@dataclass
class TrainingState:
    """All that changes while training.

    Attributes:
        net: with the names that checkpoints have.
        optimizer, scheduler, scaler: of its training.
        seed: that the order of the images follows from.
        iteration: the next one, from 0.
    """

    net: nn.Module
    optimizer: SGD
    scheduler: LambdaLR
    scaler: GradScaler
    seed: int
    iteration: int = 0

    def save(self, folder: Path, name: str) -> None:
        """Writes `folder/name` and notes it as the last checkpoint. The file suits `TensorMask.from_files`, too."""
        content = {
            "model": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "scaler": self.scaler.state_dict(),
            "seed": self.seed,
            "iteration": self.iteration - 1,  # the last one that was done, as detectron2 counts
        }
        # A draft of one name: a training that is killed again and again leaves one at most.
        with replacing(folder / name, folder / _DRAFT) as draft, draft.open("wb") as file:
            torch.save(content, file)
        write_file(folder / _LAST, name.encode())

    def resume(self, folder: Path) -> bool:
        """Goes back to the last checkpoint in a folder; False if there is none.

        Raises:
            CheckpointError: it is missing, broken, or of another network.
        """
        note = folder / _LAST
        if not note.exists():
            return False
        path = folder / Path(note.read_text().strip()).name
        try:
            content: dict[str, Any] = load_torch(path)
            self.net.load_state_dict(content["model"])
            self.optimizer.load_state_dict(content["optimizer"])
            self.scheduler.load_state_dict(content["scheduler"])
            if content["scaler"]:  # it is empty after a training without scaling
                self.scaler.load_state_dict(content["scaler"])
            self.seed = int(content.get("seed", self.seed))
            self.iteration = int(content["iteration"]) + 1
        except Exception as error:  # noqa: BLE001  # torch may raise anything on a broken file
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise CheckpointError(f"{path}: cannot be resumed from ({reason}); start without --resume") from None
        return True
