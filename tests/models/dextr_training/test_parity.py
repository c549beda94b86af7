"""The numbers of the original, from the first random draw to the fourth step of the optimiser."""

from __future__ import annotations

import gzip
from functools import partial
from math import radians

import numpy as np
import pytest
import torch

from dextr.data_pipeline import warp
from dextr.data_pipeline.batch_items import TrainingItem, ValidationItem
from dextr.data_pipeline.dextr_dataset import LabelImageTargetDextrDataset
from dextr.data_pipeline.dextr_transforms import (
    DextrCropWithHeatmapTransform,
    DextrFindExtremesTransform,
    DextrNormalize,
    DextrToTensor,
    DextrTrainingTransform,
)
from dextr.inference.network_input import normalise
from dextr.lr_schedules import make_lr_scheduler
from dextr.model import DextrModel
from dextr.train.batches import network_batch
from dextr.train.optimizers import make_optimizer, parameter_groups
from dextr.train.trainer import Trainer


def training_transform(case, seed):
    """The transform as the original really worked: it flipped, although it was told not to."""
    return DextrTrainingTransform(
        tuple(case["target_size_yx"]),
        case["padding"],
        case["extreme_range"],
        case["noise_std"],
        case["blob_sigma"],
        True,
        radians(case["rot_range_degrees"]),
        case.get("fix_box_to_extreme", True),
        np.random.RandomState(seed),
    )


def assert_same_bytes(image, expected):
    difference = np.abs(np.asarray(image).astype(int) - expected)
    assert difference.max() <= 1
    assert np.count_nonzero(difference) < 0.0005 * difference.size


@pytest.mark.parametrize("max_source_per_target", [0, 1000], ids=["PIL", "OpenCV"])
@pytest.mark.parametrize("name", ["t01", "t02", "t03", "t04", "t05", "t06"])
def test_training_transform(original, monkeypatch, name, max_source_per_target):
    monkeypatch.setattr(warp, "_MAX_SOURCE_PER_TARGET", max_source_per_target)  # either way of warping
    case = next(case for case in original.described["transforms"] if case["id"] == name)
    sample = training_transform(case, case["seed"])(original.sample(case["image"], case["mask"]))
    assert set(sample) == {"input", "target_mask", "heatmap"}
    assert (sample["input"].mode, sample["target_mask"].mode) == ("RGB", "L")
    assert_same_bytes(sample["input"], original.arrays[f"{name}.input"])
    assert_same_bytes(sample["target_mask"], original.arrays[f"{name}.target_mask"])
    np.testing.assert_allclose(sample["heatmap"], original.arrays[f"{name}.heatmap"], atol=1e-6)


@pytest.mark.parametrize("name", ["e01", "e02", "e03"])
def test_evaluation_transforms(original, name):
    case = next(case for case in original.described["extremes"] if case["id"] == name)
    size = tuple(case["target_size_yx"])
    find = DextrFindExtremesTransform(size, case["extreme_range"], np.random.RandomState(case["seed"]))
    found = find(original.sample(case["image"], case["mask"]))
    assert set(found) == {"input", "target_mask", "target_mask_outline", "extreme_points"}
    np.testing.assert_allclose(found["extreme_points"], original.arrays[f"{name}.points"], atol=1e-9)
    cropped = DextrCropWithHeatmapTransform(size, case["padding"], case["blob_sigma"])(found)
    np.testing.assert_allclose(cropped["crop_yx"], original.arrays[f"{name}.crop_yx"], atol=1e-9)
    np.testing.assert_array_equal(cropped["target_mask"], original.arrays[f"{name}.target_mask"])
    np.testing.assert_array_equal(np.asarray(cropped["input"])[::2, ::2], original.arrays[f"{name}.input"])


@pytest.mark.parametrize(("name", "ignore_index"), [("ds_none", None), ("ds_ignore255", 255)])
def test_objects_of_a_label_image(original, name, ignore_index):
    files = [original.images / "chelsea.png"], [original.images / "labels.png"]
    dataset = LabelImageTargetDextrDataset(*files, ignore_index=ignore_index)
    np.testing.assert_array_equal(dataset.obj_meta_indices, original.arrays[f"{name}.indices"])
    lengths = [len(outline) for outline in dataset.obj_meta_outlines]
    np.testing.assert_array_equal(lengths, original.arrays[f"{name}.outline_len"])
    np.testing.assert_array_equal(np.concatenate(dataset.obj_meta_outlines), original.arrays[f"{name}.outlines"])


@pytest.mark.parametrize(
    ("name", "schedule", "power"), [("lr_poly09", "poly", 0.9), ("lr_poly2", "poly", 2.0), ("lr_cosine", "cosine", 0.9)]
)
def test_learning_rates(original, name, schedule, power):
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": rate} for rate in (0.01, 0.1)]
    optimizer = make_optimizer("sgd", groups)
    scheduler = make_lr_scheduler(optimizer, 10, schedule, power)
    rates = []
    for _ in range(10):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    np.testing.assert_allclose(rates, original.arrays[name], rtol=1e-9, atol=1e-12)


@pytest.mark.slow("trains a network")
def test_four_steps_of_a_training(original, tmp_path):
    case = original.described["step"]
    path = tmp_path / "model_a.pth"
    path.write_bytes(gzip.decompress((original.images.parent / "model_a_zip.pth.gz").read_bytes()))
    model = DextrModel.from_file(path)
    for module in model.net.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = case["dropout"]
    names = zip(case["images"], case["masks"], case["seeds"], strict=True)
    items = [TrainingItem(training_transform(case, seed))(original.sample(*files)) for *files, seed in names]
    batch = torch.utils.data.default_collate(items)
    inputs = network_batch(batch, torch.device("cpu"), "max")[0].double()
    np.testing.assert_allclose([inputs.sum(), (inputs**2).sum()], original.arrays["step.input_sum"], rtol=1e-4)

    groups = parameter_groups(model.net, case["learning_rate"], case["pretrained_lr_factor"], case["new_lr_factor"])
    optimizer = make_optimizer("sgd", groups, case["weight_decay"])
    scheduler = make_lr_scheduler(optimizer, case["total_iters"], case["schedule"], case["poly_power"])
    trainer = Trainer(model.net, optimizer, scheduler, torch.device("cpu"))
    model.train()
    losses, probes = [], []
    for _ in range(case["total_iters"]):
        losses.append(trainer.step([batch]).item())
        tensors = [model.net.state_dict()[name].double() for name in case["probe"]]
        probes.append([[tensor.sum().item(), tensor.norm().item()] for tensor in tensors])
    np.testing.assert_allclose(losses, original.arrays["step.losses"], rtol=1e-4)
    np.testing.assert_allclose(probes, original.arrays["step.probe"], rtol=1e-4)


def test_batches_of_bytes_give_the_input_of_the_transforms_of_the_original(original):
    case = original.described["transforms"][0]
    sample = original.sample(case["image"], case["mask"])
    tensors = DextrToTensor()(training_transform(case, 1)(sample))
    assert tensors["input"].shape == (4, 128, 128)
    assert tensors["target_mask"].shape == (1, 128, 128)
    assert tensors["input"].dtype == tensors["target_mask"].dtype == torch.float32
    normalised = DextrNormalize()(tensors)
    batch = torch.utils.data.default_collate([TrainingItem(training_transform(case, 1))(sample)])
    inputs, target = network_batch(batch, torch.device("cpu"), "max")
    torch.testing.assert_close(normalised["input"], inputs[0], rtol=0, atol=1e-6)
    assert torch.equal(normalised["target_mask"], target[0])


def test_batches_of_bytes_give_the_input_of_a_prediction(original):
    case = original.described["extremes"][0]
    size = tuple(case["target_size_yx"])
    sample = original.sample(case["image"], case["mask"])
    find = partial(DextrFindExtremesTransform, size, case["extreme_range"])
    cropped = DextrCropWithHeatmapTransform(size, 10, 10.0)(find(np.random.RandomState(1))(sample))
    batch = torch.utils.data.default_collate([ValidationItem(find(np.random.RandomState(1)), 10, 10.0)(sample)])
    inputs, target = network_batch(batch, torch.device("cpu"), "sum")
    expected = normalise(np.asarray(cropped["input"]), cropped["heatmap"])
    torch.testing.assert_close(inputs[0], expected, rtol=0, atol=1e-6)
    assert torch.equal(target[0, 0] * 255, torch.from_numpy(np.array(cropped["target_mask"])).float())
    np.testing.assert_array_equal(batch["crop_yx"][0], cropped["crop_yx"].astype(np.float32))
