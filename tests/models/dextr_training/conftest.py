"""The original's training results, small data sets, and a net that learns in seconds."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from dextr.data_pipeline.dextr_dataset import LabelImageTargetDextrDataset
from dextr.data_pipeline.object_regions import mask_outline
from dextr.model import DextrModel
from dextr.train.batches import training_set

GOLDEN = Path(__file__).resolve().parents[2] / "golden"


class Original:
    """What the original does: `described` and `arrays` as the golden data's README explains them."""

    images = GOLDEN / "dextr" / "images"

    def __init__(self):
        self.described = json.loads((GOLDEN / "dextr_training" / "training.json").read_text())
        with np.load(GOLDEN / "dextr_training" / "training.npz") as arrays:
            self.arrays = dict(arrays)

    def sample(self, image, mask):
        """A sample as the data sets give it, of two files."""
        with Image.open(self.images / image) as photo, Image.open(self.images / mask) as drawn:
            target = drawn.convert("L")
            return {
                "input": photo.convert("RGB"),
                "target_mask": target,
                "target_mask_outline": mask_outline(np.asarray(target) > 127),
            }


@pytest.fixture(scope="session")
def original():
    return Original()


def sample_of(mask, image=None):
    """A sample of a mask, bool (H, W), and an image, by default the mask itself in grey."""
    drawn = Image.fromarray(mask.astype(np.uint8) * np.uint8(255))
    return {
        "input": drawn.convert("RGB") if image is None else image,
        "target_mask": drawn,
        "target_mask_outline": mask_outline(mask),
    }


@pytest.fixture
def make_sample():
    return sample_of


@pytest.fixture(scope="session")
def ellipses(tmp_path_factory):
    """Paths of six images, each of two bright ellipses in the dark, and of their label images."""
    folder = tmp_path_factory.mktemp("ellipses")
    random = np.random.RandomState(0)
    images, labels = [], []
    for number in range(6):
        label = np.zeros((90, 130), dtype=np.uint8)
        for index, x in enumerate((35, 95)):
            axes = tuple(random.randint(12, 28, size=2).tolist())
            cv2.ellipse(label, (x, int(random.randint(35, 55))), axes, random.uniform(180), 0, 360, index + 1, -1)
        photo = random.randint(0, 60, size=(90, 130, 3)) + 150 * (label > 0)[:, :, None]
        images.append(folder / f"{number}.png")
        labels.append(folder / f"{number}_labels.png")
        Image.fromarray(photo.astype(np.uint8)).save(images[-1])
        Image.fromarray(label).save(labels[-1])
    return images, labels


class SmallNet(nn.Module):
    """Two convolutions, one taken as pretrained, one as new."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(4, 8, 5, padding=2), nn.BatchNorm2d(8), nn.ReLU())
        self.classifier = nn.Conv2d(8, 1, 5, padding=2)
        self.pretrained_parameters = list(self.features.parameters())
        self.new_parameters = list(self.classifier.parameters())

    def forward(self, x):
        return {"out": self.classifier(self.features(x))}


@pytest.fixture
def small_model():
    torch.manual_seed(0)
    return DextrModel(SmallNet(), (48, 64), 5, 4.0)


@pytest.fixture
def loop_arguments(ellipses):
    """Arguments of a training of a few seconds: four images to train, two to validate."""
    images, labels = ellipses
    dataset = partial(LabelImageTargetDextrDataset, images[4:], labels[4:])
    return {
        "train_ds_fn": partial(LabelImageTargetDextrDataset, images[:4], labels[:4]),
        "val_ds_fn": dataset,
        "val_truth_ds_fn": partial(dataset, load_input=False),
        "extreme_range": 2,
        "noise_std": 1.0,
        "learning_rate": 0.02,
        "pretrained_lr_factor": 0.5,
        "new_lr_factor": 1.0,
        "lr_sched": "poly",
        "lr_poly_power": 0.9,
        "opt_type": "adam",
        "sgd_weight_decay": 1e-4,
        "aug_hflip": True,
        "aug_rot_range": 20.0,
        "batch_size": 4,
        "iters_per_epoch": 6,
        "num_epochs": 3,
        "val_every_n_epochs": 2,
        "torch_device": "cpu",
        "num_workers": 0,
        "verbose": True,
        "seed": 1,
    }


@pytest.fixture
def augmented(loop_arguments):
    """The training set of those arguments for a model, whose augmentation follows from a seed."""

    def make(model, seed=1):
        return training_set(
            loop_arguments["train_ds_fn"],
            model.crop_settings,
            extreme_range=2,
            noise_std=1.0,
            hflip=True,
            rot_range=20.0,
            seed=seed,
        )

    return make
