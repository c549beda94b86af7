"""How a training goes, epoch by epoch, for spreadsheets and for TensorBoard."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from tensorboardX import SummaryWriter

from dextr.train.job_files import JobFiles, replace_file


@dataclass(frozen=True)
class EpochFigures:
    """A line of the curves. Rates are those of the new and the pretrained parameters at the end of the epoch."""

    epoch: int
    iteration: int
    loss: float
    learning_rate: float
    pretrained_learning_rate: float
    seconds: float
    images_per_second: float
    val_loss: float | None = None
    val_miou: float | None = None


class Curves:
    """Writes the curves of a job.

    Args:
        files: of the job.
        epochs: number of epochs that are done; later ones in the files are dropped.
    """

    def __init__(self, files: JobFiles, epochs: int) -> None:
        self._path = files.curves
        rows = [row for row in _rows(files.curves) if int(row["epoch"]) <= epochs]
        self._write(rows)
        self._tensorboard = SummaryWriter(str(files.tensorboard), purge_step=epochs + 1)

    def add(self, figures: EpochFigures) -> None:
        """One more epoch."""
        values = asdict(figures)
        with self._path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, values).writerow(values)
        for name, value in values.items():
            if name != "epoch" and value is not None:
                self._tensorboard.add_scalar(name, value, figures.epoch)
        self._tensorboard.flush()

    def close(self) -> None:
        """No more epochs."""
        self._tensorboard.close()

    def _write(self, rows: list[dict[str, str]]) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, [field.name for field in fields(EpochFigures)])
        writer.writeheader()
        writer.writerows(rows)
        replace_file(self._path, lambda file: file.write(text.getvalue().encode()))


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        # The last line may be torn where the process was killed.
        return [row for row in csv.DictReader(file) if None not in row.values() and row["epoch"]]
