"""Trains the demo model with the library's training loop on made-up photos.

    python dextr/demo/generate.py /data/scenes --scenes 5000
    python dextr/demo/train.py /data/scenes demo.safetensors

Small crops come first: they are four times cheaper, and what is learnt on them carries over to the final size.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from dextr.architectures import build
from dextr.data_pipeline.dextr_dataset import LabelImageTargetDextrDataset
from dextr.model import DextrModel, training_loop

PADDING = 10 / 256
BLOB_SIGMA = 10 / 256
EXTREME_RANGE = 5 / 256


@dataclass(frozen=True)
class Stage:
    """One run of the training loop: crop size (pixels), epochs, iterations in each, batch size, first learning rate."""

    size: int
    epochs: int
    iterations: int
    batch_size: int
    learning_rate: float


STAGES = (Stage(128, 10, 400, 16, 2e-3), Stage(256, 4, 220, 8, 6e-4))


def dataset(folder: Path) -> partial[LabelImageTargetDextrDataset]:
    """What makes the data set of a folder that ``generate.py`` filled, given a transform."""
    labels = sorted(folder.glob("*_label.png"))
    images = [path.with_name(path.name.replace("_label.png", ".jpg")) for path in labels]
    return partial(LabelImageTargetDextrDataset, images, labels, obj_meta_path=folder / "objects.npz")


def sized(net: torch.nn.Module, size: int) -> DextrModel:
    """The net as a model for crops of a size; padding and blobs grow with it."""
    return DextrModel(net, (size, size), round(PADDING * size), BLOB_SIGMA * size)


def train_stage(model: DextrModel, stage: Stage, folder: Path, out: Path, *, workers: int, seed: int) -> None:
    """Trains the model's net, and saves the model after each epoch."""
    training_loop(
        model,
        train_ds_fn=dataset(folder),
        val_ds_fn=None,
        val_truth_ds_fn=None,
        extreme_range=round(EXTREME_RANGE * stage.size),
        noise_std=stage.size / 256,
        learning_rate=stage.learning_rate,
        pretrained_lr_factor=1.0,  # nothing here is pretrained
        new_lr_factor=1.0,
        lr_sched="poly",
        lr_poly_power=0.9,
        opt_type="adam",
        sgd_weight_decay=0.0,
        aug_hflip=True,
        aug_rot_range=20.0,
        batch_size=stage.batch_size,
        iters_per_epoch=stage.iterations,
        num_epochs=stage.epochs,
        val_every_n_epochs=1,
        torch_device="cpu",
        num_workers=workers,
        verbose=True,
        on_epoch_finished=lambda _, trained: trained.save(out, torch.float16),
        seed=seed,
        log=partial(print, flush=True),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="made-up photos from generate.py")
    parser.add_argument("out", type=Path, help="the model, rewritten after each epoch (.safetensors)")
    parser.add_argument("--scale", type=float, default=1.0, help="train so many times as long (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and augmentation (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of the net; 1 is best on a busy machine")
    parser.add_argument("--workers", type=int, default=1, help="processes that make samples (default: %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    net = build("mobileunet").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for number, stage in enumerate(STAGES):
        longer = replace(stage, iterations=max(round(stage.iterations * args.scale), 1))
        model, seed = sized(net, stage.size), args.seed + number
        train_stage(model, longer, args.folder, args.out, workers=args.workers, seed=seed)


if __name__ == "__main__":
    main()
