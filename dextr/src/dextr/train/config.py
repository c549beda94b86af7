"""The settings of a training: flags, defaults and checks in one place. A field is named like its flag."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from dextr.train.job_files import JobFiles

DATASETS = ("pascal_voc", "custom_label", "custom_mask", "coco")
ARCHITECTURES = ("deeplab3", "denseunet161", "resunet50", "resunet101", "mobileunet")
PUBLISHED_MODEL = "pascalvoc_resunet101"
# Of the largest seed. torch takes 64, and each process adds its number.
SEED_BITS = 62


def option(
    group: str, default: Any, text: str, *, kind: type = str, choices: tuple[str, ...] = (), may_change: bool = False
) -> Any:
    """A field with its flag: the group and text of the help, the type of its value (bool: a switch), its choices.

    `may_change`: whether --resume accepts another value than the training began with.
    """
    metadata = {"group": group, "text": text, "kind": kind, "choices": choices, "may_change": may_change}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """What is trained, on what and how. Lengths are pixels of the crop, angles degrees."""

    job_name: str

    dataset: str = option("data", "pascal_voc", "where the objects come from", choices=DATASETS)
    train_image_pat: str = option("data", "", "custom: pattern of the images, such as 'in/*.jpg'", may_change=True)
    train_target_pat: str = option("data", "", "custom: pattern of label images or masks", may_change=True)
    val_image_pat: str = option("data", "", "custom: the same for images to validate on", may_change=True)
    val_target_pat: str = option("data", "", "custom: and for their label images or masks", may_change=True)
    train_image_dir: str = option("data", "", "coco: folder of the images", may_change=True)
    train_annotations: str = option("data", "", "coco: JSON file of the annotations", may_change=True)
    val_image_dir: str = option("data", "", "coco: the same for images to validate on", may_change=True)
    val_annotations: str = option("data", "", "coco: and for their annotations", may_change=True)
    val_fraction: float = option("data", 0.0, "hold back this share of the images to validate on", kind=float)
    label_ignore_index: int | None = option("data", None, "pixels of this label belong to no object", kind=int)
    skip_bad: bool = option("data", False, "leave out what cannot be read or fits badly", kind=bool, may_change=True)

    arch: str = option("model", "resunet50", "network", choices=ARCHITECTURES)
    backbone_weights: str = option(
        "model", "imagenet", "what the network starts from: imagenet (torchvision's, downloaded once), none, or a file",
        may_change=True,
    )  # fmt: skip
    load_model: str | None = option(
        "model", None, "go on from this model, whose network, size, padding and sigma win: a file, or a name "
        f"({PUBLISHED_MODEL})", may_change=True,
    )  # fmt: skip
    target_size: int = option("model", 512, "height and width of the crops", kind=int)
    padding: int = option("model", 10, "from the box of the extreme points to the crop's border", kind=int)
    blob_sigma: float = option("model", 10.0, "standard deviation of the blobs at the extreme points", kind=float)

    extreme_range: int = option("augmentation", 5, "how far a point may be from the object's end", kind=int)
    noise_std: float = option("augmentation", 1.0, "standard deviation of the points' noise", kind=float)
    aug_hflip: bool = option("augmentation", True, "mirror half of the samples", kind=bool)
    aug_rot_range: float = option("augmentation", 20.0, "rotate by up to this angle", kind=float)

    whole_pixels: bool = option(
        "augmentation", False, "take points and crops at whole pixels, as predictions do; better for small objects",
        kind=bool,
    )  # fmt: skip

    learning_rate: float = option("optimisation", 0.1, "of the new parameters", kind=float)
    pretrained_lr_factor: float = option("optimisation", 0.1, "times this: that of pretrained ones", kind=float)
    lr_sched: str = option("optimisation", "poly", "how it falls", choices=("none", "cosine", "poly"))
    lr_poly_power: float = option("optimisation", 0.9, "power of poly", kind=float)
    opt_type: str = option("optimisation", "sgd", "optimiser", choices=("sgd", "adam"))
    sgd_weight_decay: float = option("optimisation", 1e-4, "of sgd", kind=float)
    batch_size: int = option("optimisation", 4, "samples in a batch, of all processes together", kind=int)
    accumulate: int = option("optimisation", 1, "batches in a step of the optimiser", kind=int)
    num_epochs: int = option("optimisation", 100, "epochs", kind=int)
    iters_per_epoch: int = option("optimisation", 1000, "steps in one; -1: as the training set has", kind=int)
    amp: str = option("optimisation", "off", "compute in this type where it is safe", choices=("off", "bf16", "fp16"))
    seed: int | None = option("optimisation", None, "repeats the training (default: another each time)", kind=int)

    val_every_n_epochs: int = option("run", 25, "validate after so many epochs, and at the end", kind=int)
    patience: int | None = option(
        "run", None, "stop after so many validations without a better mIoU (default: never)", kind=int, may_change=True
    )
    resume: bool = option("run", False, "go on where this job was interrupted", kind=bool, may_change=True)
    device: str = option("run", "auto", "auto (the first GPU, else the CPU), cpu, cuda:0, ...", may_change=True)
    num_workers: int | None = option(
        "run", None, "processes that make samples (default: 8, at most the cores)", kind=int, may_change=True
    )
    compile: bool = option("run", False, "compile the network: slow start, then faster", kind=bool, may_change=True)

    @property
    def files(self) -> JobFiles:
        """Where this job writes, in the working directory."""
        return JobFiles(self.job_name)

    @property
    def workers(self) -> int:
        """The number of processes that make samples."""
        return min(8, os.cpu_count() or 1) if self.num_workers is None else self.num_workers

    def problems(self, models: Mapping[str, Path]) -> Iterator[str]:
        """Everything that is wrong with the values: a flag, its value, and what was expected.

        Args:
            models: files that --load_model knows by a name.
        """
        yield from self._number_problems()
        yield from self._data_problems()
        if not self.job_name or self.job_name in (".", "..") or set(self.job_name) & set('/\\:*?"<>|\0'):
            yield f"JOB_NAME: {self.job_name!r} does not make a file name; expected letters, digits, - and _"
        elif self.files.log.exists() and not self.resume and os.environ.get("RANK", "0") == "0":
            yield f"JOB_NAME: {self.files.log} exists; choose another name, or go on with --resume"
        if self.load_model is not None and self.load_model not in (*models, PUBLISHED_MODEL):
            if not Path(self.load_model).is_file():
                names = ", ".join((*models, PUBLISHED_MODEL))
                yield f"--load_model: {self.load_model} is no file; expected a model file or one of {names}"
        elif self.backbone_weights not in ("imagenet", "none") and not Path(self.backbone_weights).is_file():
            yield f"--backbone_weights: {self.backbone_weights} is no file; expected imagenet, none or a file"
        processes = int(os.environ.get("WORLD_SIZE", "1"))
        if self.batch_size % processes:
            yield f"--batch_size: {self.batch_size} cannot be shared by {processes} processes; give a multiple of them"
        elif self.load_model is None:
            yield from self.share_problems(self.arch, processes)

    def share_problems(self, arch: str, processes: int) -> Iterator[str]:
        """What is wrong with a process's share of a batch for a network, which --load_model may have brought."""
        if arch == "deeplab3" and self.batch_size == processes:
            least = 2 * processes
            yield f"--batch_size: {self.batch_size} leaves each process one sample; {arch} needs {least} or more"

    def _number_problems(self) -> Iterator[str]:
        least = {"target_size": 32, "batch_size": 1, "accumulate": 1, "num_epochs": 1, "val_every_n_epochs": 1}
        least |= {"padding": 0, "extreme_range": 0, "noise_std": 0, "aug_rot_range": 0, "num_workers": 0, "patience": 1}
        least |= {"learning_rate": 0, "pretrained_lr_factor": 0, "sgd_weight_decay": 0, "lr_poly_power": 0, "seed": 0}
        for name, lowest in least.items():
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= lowest):
                yield f"--{name}: {value} is out of range; expected at least {lowest}"
        if self.iters_per_epoch < 1 and self.iters_per_epoch != -1:
            yield f"--iters_per_epoch: {self.iters_per_epoch} is out of range; expected at least 1, or -1"
        if not (math.isfinite(self.blob_sigma) and self.blob_sigma > 0):
            yield f"--blob_sigma: {self.blob_sigma} is out of range; expected more than 0"
        if self.target_size % 32 and self.arch != "deeplab3":
            yield f"--target_size: {self.target_size} does not suit {self.arch}; expected a multiple of 32"
        if 2 * self.padding >= self.target_size:
            yield f"--padding: {self.padding} leaves nothing of a crop of {self.target_size}; expected less than half"
        if self.seed is not None and self.seed >= 2**SEED_BITS:
            yield f"--seed: {self.seed} is out of range; expected less than 2**{SEED_BITS}"
        if not 0 <= self.val_fraction < 1:
            yield f"--val_fraction: {self.val_fraction} is no share; expected 0 or more, and less than 1"

    def _data_problems(self) -> Iterator[str]:
        custom = ("train_image_pat", "train_target_pat", "val_image_pat", "val_target_pat")
        coco = ("train_image_dir", "train_annotations", "val_image_dir", "val_annotations")
        used = {"pascal_voc": (), "coco": coco}.get(self.dataset, custom)
        for name in (*custom, *coco):
            if getattr(self, name) and name not in used:
                yield f"--{name}: has no effect with --dataset {self.dataset}; leave it out or choose another data set"
        for name in used[:2]:
            if not getattr(self, name):
                yield f"--{name}: is missing; --dataset {self.dataset} needs it"
        validates = [name for name in used[2:] if getattr(self, name)]
        if len(validates) == 1:
            missing = next(name for name in used[2:] if name not in validates)
            yield f"--{missing}: is missing; --{validates[0]} needs it"
        if self.val_fraction and (validates or self.dataset == "pascal_voc"):
            yield "--val_fraction: there are images to validate on already; leave it out"
        if self.patience is not None and not (self.val_fraction or validates or self.dataset == "pascal_voc"):
            yield "--patience: needs images to validate on; add --val_fraction or name some"

    def lines(self) -> list[str]:
        """All settings as `name=value`, sorted."""
        return sorted(f"{one.name}={getattr(self, one.name)}" for one in fields(self))

    def fixed(self) -> dict[str, Any]:
        """The settings that an interrupted training has to go on with."""
        return {one.name: getattr(self, one.name) for one in options() if not one.metadata["may_change"]}


def options() -> tuple[Field[Any], ...]:
    """The fields that are flags."""
    return tuple(one for one in fields(TrainConfig) if one.metadata)
