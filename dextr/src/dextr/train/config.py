"""The settings of a training: flags, defaults and checks in one place. A field is named like its flag."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dextr.train.job_files import JobFiles
from maskworks.config.flag import Config, flag, flags, switch

DATASETS = ("pascal_voc", "custom_label", "custom_mask", "coco")
ARCHITECTURES = ("deeplab3", "denseunet161", "resunet50", "resunet101", "mobileunet")
PUBLISHED_MODEL = "pascalvoc_resunet101"
# Of the largest seed. torch takes 64, and each process adds its number.
SEED_BITS = 62

_MAY_CHANGE = "may_change"
_CUSTOM = ("train_image_pat", "train_target_pat", "val_image_pat", "val_target_pat")
_COCO = ("train_image_dir", "train_annotations", "val_image_dir", "val_annotations")


def changeable(own: Any) -> Any:
    """A flag of which --resume accepts another value than the training began with."""
    return field(default=own.default, metadata={**own.metadata, _MAY_CHANGE: True})


@dataclass(frozen=True, kw_only=True)
class DataConfig(Config):
    """Where the objects come from."""

    dataset: str = flag("|".join(DATASETS), "where the objects come from", "pascal_voc", choices=DATASETS)
    train_image_pat: str = changeable(flag("TEXT", "custom: pattern of the images, such as 'in/*.jpg'", ""))
    train_target_pat: str = changeable(flag("TEXT", "custom: pattern of label images or masks", ""))
    val_image_pat: str = changeable(flag("TEXT", "custom: the same for images to validate on", ""))
    val_target_pat: str = changeable(flag("TEXT", "custom: and for their label images or masks", ""))
    train_image_dir: str = changeable(flag("TEXT", "coco: folder of the images", ""))
    train_annotations: str = changeable(flag("TEXT", "coco: JSON file of the annotations", ""))
    val_image_dir: str = changeable(flag("TEXT", "coco: the same for images to validate on", ""))
    val_annotations: str = changeable(flag("TEXT", "coco: and for their annotations", ""))
    val_fraction: float = flag("X", "hold back this share of the images to validate on", 0.0, kind=float)
    label_ignore_index: int | None = flag("N", "pixels of this label belong to no object", None, kind=int)
    skip_bad: bool = changeable(switch("leave out what cannot be read or fits badly"))

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        used = self._names()
        for name in (*_CUSTOM, *_COCO):
            if getattr(self, name) and name not in used:
                yield f"--{name}: has no effect with --dataset {self.dataset}; leave it out or choose another data set"
        for name in used[:2]:
            if not getattr(self, name):
                yield f"--{name}: is missing; --dataset {self.dataset} needs it"
        given = [name for name in used[2:] if getattr(self, name)]
        if len(given) == 1:
            missing = next(name for name in used[2:] if name not in given)
            yield f"--{missing}: is missing; --{given[0]} needs it"
        if not 0 <= self.val_fraction < 1:
            yield f"--val_fraction: {self.val_fraction} is no share; expected 0 or more, and less than 1"
        if self.val_fraction and self.has_validation_set:
            yield "--val_fraction: there are images to validate on already; leave it out"

    @property
    def has_validation_set(self) -> bool:
        """True if images to validate on are named; others may be held back."""
        return self.dataset == "pascal_voc" or any(getattr(self, name) for name in self._names()[2:])

    def _names(self) -> tuple[str, ...]:
        """The fields that this data set needs: two to train with, two to validate with."""
        return {"pascal_voc": (), "coco": _COCO}.get(self.dataset, _CUSTOM)


@dataclass(frozen=True, kw_only=True)
class NetworkConfig(Config):
    """The network, its first weights and its crops."""

    arch: str = flag("|".join(ARCHITECTURES), "network", "resunet50", choices=ARCHITECTURES)
    backbone_weights: str = changeable(
        flag(
            "TEXT",
            "what the network starts from: imagenet (torchvision's, downloaded once), none, or a file",
            "imagenet",
        )
    )
    load_model: str | None = changeable(
        flag(
            "TEXT",
            f"go on from this model, whose network, size, padding and sigma win: a file, or a name ({PUBLISHED_MODEL})",
            None,
        )
    )
    target_size: int = flag("N", "height and width of the crops", 512, kind=int, least=32)
    padding: int = flag("N", "from the box of the extreme points to the crop's border", 10, kind=int, least=0)
    blob_sigma: float = flag("X", "standard deviation of the blobs at the extreme points", 10.0, kind=float)

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if not (math.isfinite(self.blob_sigma) and self.blob_sigma > 0):
            yield f"--blob_sigma: {self.blob_sigma} is out of range; expected more than 0"
        if self.target_size % 32 and self.arch != "deeplab3":
            yield f"--target_size: {self.target_size} does not suit {self.arch}; expected a multiple of 32"
        if 2 * self.padding >= self.target_size:
            yield f"--padding: {self.padding} leaves nothing of a crop of {self.target_size}; expected less than half"


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig(Config):
    """How samples are changed at random."""

    extreme_range: int = flag("N", "how far a point may be from the object's end", 5, kind=int, least=0)
    noise_std: float = flag("X", "standard deviation of the points' noise", 1.0, kind=float, least=0)
    aug_hflip: bool = switch("mirror half of the samples", True)
    aug_rot_range: float = flag("X", "rotate by up to this angle", 20.0, kind=float, least=0)
    whole_pixels: bool = switch("take points and crops at whole pixels, as predictions do; better for small objects")


@dataclass(frozen=True, kw_only=True)
class OptimisationConfig(Config):
    """The optimiser, its rates, and the number and size of its steps."""

    learning_rate: float = flag("X", "of the new parameters", 0.1, kind=float, least=0)
    pretrained_lr_factor: float = flag("X", "times this: that of pretrained ones", 0.1, kind=float, least=0)
    lr_sched: str = flag("none|cosine|poly", "how it falls", "poly", choices=("none", "cosine", "poly"))
    lr_poly_power: float = flag("X", "power of poly", 0.9, kind=float, least=0)
    opt_type: str = flag("sgd|adam", "optimiser", "sgd", choices=("sgd", "adam"))
    sgd_weight_decay: float = flag("X", "of sgd", 1e-4, kind=float, least=0)
    batch_size: int = flag("N", "samples in a batch, of all processes together", 4, kind=int, least=1)
    accumulate: int = flag("N", "batches in a step of the optimiser", 1, kind=int, least=1)
    num_epochs: int = flag("N", "epochs", 100, kind=int, least=1)
    iters_per_epoch: int = flag("N", "steps in one; -1: as the training set has", 1000, kind=int)
    amp: str = flag("off|bf16|fp16", "compute in this type where it is safe", "off", choices=("off", "bf16", "fp16"))
    seed: int | None = flag("N", "repeats the training (default: another each time)", None, kind=int, least=0)

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if self.iters_per_epoch < 1 and self.iters_per_epoch != -1:
            yield f"--iters_per_epoch: {self.iters_per_epoch} is out of range; expected at least 1, or -1"
        if self.seed is not None and self.seed >= 2**SEED_BITS:
            yield f"--seed: {self.seed} is out of range; expected less than 2**{SEED_BITS}"


@dataclass(frozen=True, kw_only=True)
class RunConfig(Config):
    """Validation, interruption, devices and processes."""

    val_every_n_epochs: int = flag("N", "validate after so many epochs, and at the end", 25, kind=int, least=1)
    patience: int | None = changeable(
        flag("N", "stop after so many validations without a better mIoU (default: never)", None, kind=int, least=1)
    )
    resume: bool = changeable(switch("go on where this job was interrupted"))
    device: str = changeable(flag("TEXT", "auto (the first GPU, else the CPU), cpu, cuda:0, ...", "auto"))
    num_workers: int | None = changeable(
        flag("N", "processes that make samples (default: 8, at most the cores)", None, kind=int, least=0)
    )
    compile: bool = changeable(switch("compile the network: slow start, then faster"))


# In the order and under the headings of the help.
GROUPS: dict[str, type[Config]] = {
    "data": DataConfig, "model": NetworkConfig, "augmentation": AugmentationConfig,
    "optimisation": OptimisationConfig, "run": RunConfig,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TrainConfig(DataConfig, NetworkConfig, AugmentationConfig, OptimisationConfig, RunConfig):
    """The settings of a training. Lengths are pixels of the crop, angles degrees."""

    job_name: str

    @property
    def files(self) -> JobFiles:
        """Where this job writes, in the working directory."""
        return JobFiles(self.job_name)

    @property
    def workers(self) -> int:
        """The number of processes that make samples."""
        return min(8, os.cpu_count() or 1) if self.num_workers is None else self.num_workers

    def problems(self, models: Mapping[str, Path] = MappingProxyType({})) -> Iterator[str]:
        """All problems of the values: a flag, its value, the expectation.

        Args:
            models: files that --load_model knows by a name.
        """
        yield from super().problems()
        if self.patience is not None and not (self.val_fraction or self.has_validation_set):
            yield "--patience: needs images to validate on; add --val_fraction or name some"
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
        """Problems of a process's share of a batch for a network, which --load_model may have brought."""
        if arch == "deeplab3" and self.batch_size == processes:
            least = 2 * processes
            yield f"--batch_size: {self.batch_size} leaves each process one sample; {arch} needs {least} or more"

    def lines(self) -> list[str]:
        """All settings as `name=value`, sorted."""
        return sorted(f"{one.name}={getattr(self, one.name)}" for one in fields(self))

    def fixed(self) -> dict[str, Any]:
        """The settings that an interrupted training has to go on with."""
        return {
            name: getattr(self, name)
            for name, (one, _) in flags(TrainConfig).items()
            if not one.metadata.get(_MAY_CHANGE)
        }
