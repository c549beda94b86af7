"""Samples from other processes: the right ones, and no two workers alike."""

from __future__ import annotations

import platform
import subprocess
import sys
from functools import partial

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from dextr.data_pipeline.dextr_dataset import LabelImageTargetDextrDataset
from dextr.data_pipeline.dextr_transforms import DextrTrainingTransform
from dextr.data_pipeline.random_state import TransformRandom
from dextr.train.batches import training_batches, validation_batches, validation_set
from dextr.train.loader_worker import start_worker
from dextr.train.training_loop import training_loop


class Draws(Dataset):
    """Each item is a number drawn by the process that is asked, and its worker's."""

    def __init__(self, rng):
        self.random = TransformRandom(rng)

    def __len__(self):
        return 8

    def __getitem__(self, index):
        worker = torch.utils.data.get_worker_info()
        return int(self.random.state.randint(1 << 30)), worker.id if worker else -1


def draw(dataset, seed, num_workers=2):
    generator = torch.Generator().manual_seed(seed)
    loader = DataLoader(dataset, batch_size=None, num_workers=num_workers, generator=generator)
    numbers, workers = zip(*loader, strict=True)
    assert set(workers) == set(range(num_workers)) if num_workers else {-1}
    return numbers


@pytest.mark.slow("trains a network")
def test_each_worker_has_its_own_random_numbers():
    for rng in (None, np.random.RandomState(5)):
        dataset = Draws(rng)
        dataset[0]  # the state of this process exists before the workers do
        first, again, other = draw(dataset, 1), draw(dataset, 1), draw(dataset, 2)
        assert first == again
        assert len(set(first + other)) == 16
    assert draw(Draws(np.random.RandomState(5)), 1, 0) == draw(Draws(np.random.RandomState(5)), 2, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no fork")
def test_forked_workers_warp_after_this_process_did(small_model, augmented):
    cv2.warpAffine(np.zeros((2000, 2000, 4), dtype=np.float32), np.eye(2, 3), (2000, 2000))  # starts OpenCV's threads
    model = small_model
    model.target_size_yx = (512, 512)  # large enough for OpenCV to use them
    dataset = augmented(model, seed=0)
    batches = iter(training_batches(dataset, 2, num_workers=2))
    shapes = [next(batches)["crop"].shape for _ in range(3)]
    assert shapes == [(2, 512, 512, 3)] * 3


@pytest.mark.slow("trains a network")
def test_spawned_workers(ellipses):
    images, labels = ellipses
    transform = DextrTrainingTransform((32, 32), 4, 2, rng=np.random.RandomState(0))
    dataset = LabelImageTargetDextrDataset(images, labels, transform)
    loader = DataLoader(
        dataset, batch_size=None, num_workers=1, multiprocessing_context="spawn", worker_init_fn=start_worker
    )
    samples = list(loader)
    assert len(samples) == len(dataset) == 12
    assert all(sample["input"].size == (32, 32) for sample in samples)


def test_workers_do_not_change_a_validation(small_model, loop_arguments):
    dataset = validation_set(loop_arguments["val_ds_fn"], small_model.crop_settings, 2)
    here, there = (list(validation_batches(dataset, 3, workers)) for workers in (0, 2))
    assert [len(batch["crop"]) for batch in here] == [3, 1]
    for one, other in zip(here, there, strict=True):
        assert set(one) == {"crop", "heat_rows", "heat_columns", "target_mask", "crop_yx"}
        for key, tensor in one.items():
            assert torch.equal(tensor, other[key])


@pytest.mark.slow("trains a network")
def test_training_with_workers_repeats(small_model, loop_arguments):
    loop_arguments |= {"num_workers": 2, "num_epochs": 1, "iters_per_epoch": 3, "verbose": False}
    train = partial(training_loop, small_model, **loop_arguments)
    initial = {name: tensor.clone() for name, tensor in small_model.net.state_dict().items()}
    results = []
    for _ in range(2):
        small_model.net.load_state_dict(initial)
        train(on_validation=lambda epoch, result: results.append(result))
    assert len(results) == 2
    assert results[0] == results[1]


MEMORY = """
import sys
from pathlib import Path
import numpy as np
from dextr.train.loader_worker import start_worker
def pages():
    return int(Path("/proc/self/statm").read_text().split()[1])
if sys.argv[1] == "keep":
    start_worker(0)
before = pages()
array = np.ones(64_000_000, dtype=np.uint8)
full = pages()
del array
print((pages() - before) / (full - before))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_workers_keep_freed_memory():
    # In processes of their own: the setting stays for good.
    shares = {}
    for what in ("keep", "leave"):
        command = [sys.executable, "-c", MEMORY, what]
        shares[what] = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert shares["keep"] > 0.9
    assert shares["leave"] < 0.1
