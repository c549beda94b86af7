"""Training batches: photos of 500x375 pixels and label images to crops of 512, four to a batch, in one thread.

Ours is what `dextr_train` does, up to the network's float32 input, the peer the original's way (`original_training`).
Both make the same batches; agreement is the share of the values of input and target that differ by more than one step
of 8 bits. The note has the samples per second.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import cache, partial
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from torch.utils.data import default_collate

from benchmarks.dextr_parts import photo
from benchmarks.harness import Row, alternate
from benchmarks.original_training import OriginalSamples
from dextr.data_pipeline.dextr_dataset import LabelImageTargetDextrDataset
from dextr.inference.crop import CropSettings
from dextr.inference.network_input import STD
from dextr.train.batches import network_batch, training_set
from dextr.train.sample_stream import SampleStream

SIZE, PADDING, EXTREME_RANGE, NOISE_STD, SIGMA, SEED = 512, 10, 5, 1.0, 10.0, 0
BATCH, BATCHES = 4, 6
CPU = torch.device("cpu")


def run() -> Iterator[Row]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    try:
        with tempfile.TemporaryDirectory() as name:
            images, labels = write_photos(Path(name))
            yield compare("augmentation, tensors", images, labels, in_memory=True)
            yield compare("with reading the files", images, labels, in_memory=False)
    finally:
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)


class InMemory(LabelImageTargetDextrDataset):
    """Photos and labels are read once."""

    @cache  # noqa: B019  # as long as the data set
    def get_input_image_pil(self, img_i):
        return super().get_input_image_pil(img_i)

    @cache  # noqa: B019
    def get_instance_y_arr(self, img_i):
        return super().get_instance_y_arr(img_i)


def compare(case: str, images: list[Path], labels: list[Path], in_memory: bool) -> Row:
    make = partial(InMemory if in_memory else LabelImageTargetDextrDataset, images, labels)
    objects = make()
    settings = CropSettings((SIZE, SIZE), PADDING, SIGMA)
    ours = training_set(
        make, settings, extreme_range=EXTREME_RANGE, noise_std=NOISE_STD, hflip=True, rot_range=20.0, seed=SEED
    )
    peer = OriginalSamples(images, labels, objects, SIZE, PADDING, EXTREME_RANGE, NOISE_STD, SIGMA, in_memory)
    places = list(islice(SampleStream(len(ours), SEED), BATCH * BATCHES))
    groups = [places[start : start + BATCH] for start in range(0, len(places), BATCH)]

    def ours_batch(group):
        return network_batch(default_collate([ours[place] for place in group]), CPU, "max")

    def peer_batch(group):
        return default_collate([peer.sample(place.sample, ours.random_key(place)) for place in group])

    times = alternate(lambda: [*map(peer_batch, groups)], lambda: [*map(ours_batch, groups)], 7)
    steps = torch.tensor([1 / 255 / value for value in STD])[:, None, None]
    far, count = 0, 0
    for group in groups:
        (inputs, target), expected = ours_batch(group), peer_batch(group)
        far += int(((inputs - expected["input"]).abs() > 1.01 * steps).sum())
        far += int(((target - expected["target_mask"]).abs() > 1.01 / 255).sum())
        count += inputs.numel() + target.numel()
    rates = [len(places) / seconds for seconds in times]
    return Row(case, *times, f"{far / count:.0e}", f"samples/s: peer {rates[0]:.0f}, ours {rates[1]:.0f}")


def write_photos(folder: Path) -> tuple[list[Path], list[Path]]:
    """Eight photos (JPEG) and their label images (PNG), each with three objects."""
    rng = np.random.default_rng(0)
    picture = cv2.resize(photo(), (640, 480), interpolation=cv2.INTER_AREA)
    images, labels = [], []
    for number in range(8):
        y, x = rng.integers(0, (105, 140))
        label = np.zeros((375, 500), np.uint8)
        for index, column in enumerate((100, 250, 400)):
            axes = tuple(rng.integers(25, 75, 2).tolist())
            cv2.ellipse(label, (column, int(rng.integers(100, 275))), axes, 30 * number, 0, 360, index + 1, -1)
        images.append(folder / f"{number}.jpg")
        labels.append(folder / f"{number}.png")
        Image.fromarray(picture[y : y + 375, x : x + 500]).save(images[-1], quality=92)
        Image.fromarray(label).save(labels[-1])
    return images, labels
