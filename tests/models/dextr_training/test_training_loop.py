"""Whole trainings of a small net: they learn, they say what they do, and they can be repeated."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

import dextr.model
from dextr.data_pipeline.dextr_dataset import LabelImageTargetDextrDataset
from dextr.train.training_loop import training_loop


@pytest.mark.slow("trains a network")
def test_training_learns_and_reports(small_model, loop_arguments, capsys):
    loop_arguments |= {"num_epochs": 5, "iters_per_epoch": 12}
    events = []
    untrained = mean_iou_of_predictions(small_model, loop_arguments)
    training_loop(
        small_model,
        *loop_arguments_in_order(loop_arguments),
        lambda epoch, model: events.append((epoch, model is small_model, model.net.training)),
        seed=1,
        on_validation=lambda epoch, result: events.append((epoch, result)),
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == ["Dataset:", "len(train_ds)=8", "len(val_ds)=4", "Training..."]
    number = r"\d+\.\d+"
    patterns = [rf"Epoch {epoch} took {number}s: loss=(0\.\d{{6}})" for epoch in range(1, 6)]
    for index in (1, 3):
        patterns[index] += rf", VAL loss=(0\.\d{{6}}), mIoU=({number})%"
    patterns.append(rf"FINAL: VAL loss=(0\.\d{{6}}), mIoU=({number})%")
    found = [re.fullmatch(pattern, line) for pattern, line in zip(patterns, lines[4:], strict=True)]
    assert all(found), lines
    losses = [float(match[1]) for match in found[:5]]
    assert losses[-1] < 0.5 * losses[0]
    last = float(found[5][2])
    assert last > 85
    assert last > 100 * untrained + 10

    assert [event[0] for event in events] == [0, 1, 1, 2, 3, 3, 4, 4]
    assert [event for event in events if len(event) == 3] == [(epoch, True, False) for epoch in range(5)]
    assert events[-1][1].miou * 100 == pytest.approx(last, abs=1e-3)
    assert not small_model.net.training
    assert mean_iou_of_predictions(small_model, loop_arguments) > 0.8


def loop_arguments_in_order(arguments):
    """The positional arguments, as callers of the original pass them."""
    return [value for name, value in arguments.items() if name != "seed"]


def mean_iou_of_predictions(model, arguments):
    """Mean IoU of `predict`, from the outermost points of each object."""
    dataset = arguments["val_ds_fn"](transform=None)
    ious = []
    for index in range(len(dataset)):
        sample = dataset[index]
        outline = sample["target_mask_outline"]
        ends = [outline[:, 0].argmin(), outline[:, 0].argmax(), outline[:, 1].argmin(), outline[:, 1].argmax()]
        predicted = model.predict([sample["input"]], [outline[ends]])[0] >= 0.5
        mask = np.asarray(sample["target_mask"]) > 0
        ious.append((mask & predicted).sum() / (mask | predicted).sum())
    return np.mean(ious)


def test_same_under_the_name_of_the_original():
    assert dextr.model.training_loop is training_loop


def run(model, arguments, **changes):
    """The results of the validations, and the weights at the end."""
    results = []
    training_loop(model, **{**arguments, **changes}, on_validation=lambda epoch, result: results.append(result))
    return results, [parameter.detach().clone() for parameter in model.net.parameters()]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def fresh(model):
    torch.manual_seed(0)
    for module in model.net.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    return model


def test_seed_repeats_a_training(small_model, loop_arguments):
    loop_arguments |= {"verbose": False, "num_epochs": 1, "val_every_n_epochs": 1}
    first = run(fresh(small_model), loop_arguments)
    again = run(fresh(small_model), loop_arguments)
    other = run(fresh(small_model), loop_arguments, seed=2)
    assert first[0] == again[0]
    assert same(first[1], again[1])
    assert not same(first[1], other[1])


def test_silent_training_validates_and_does_the_same(small_model, loop_arguments, capsys):
    loop_arguments |= {"num_epochs": 1}
    loud = run(fresh(small_model), loop_arguments)
    assert capsys.readouterr().out
    silent = run(fresh(small_model), loop_arguments, verbose=False)
    assert capsys.readouterr().out == ""
    assert loud[0] == silent[0]
    assert len(silent[0]) == 1  # at the end, though the epoch was not due
    assert same(loud[1], silent[1])


def test_validation_repeats_whatever_was_drawn_before(small_model, loop_arguments):
    loop_arguments |= {"verbose": False, "num_epochs": 1, "learning_rate": 0.0, "val_every_n_epochs": 1}
    loop_arguments["seed"] = None
    for module in small_model.net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.0
    results = [run(small_model, loop_arguments)[0][0] for _ in range(2)]
    results.append(run(small_model, loop_arguments, batch_size=3)[0][0])
    assert results[0] == results[1]
    assert results[0].miou == results[2].miou


@pytest.mark.parametrize("missing", ["val_ds_fn", "val_truth_ds_fn"])
def test_without_validation(small_model, loop_arguments, missing):
    lines = []
    results, _ = run(small_model, loop_arguments, **{missing: None, "num_epochs": 1, "log": lines.append})
    assert results == []
    assert lines[:3] == ["Dataset:", "len(train_ds)=8", "Training..."]
    assert len(lines) == 4
    assert "VAL" not in lines[3]


@pytest.mark.parametrize(("batch_size", "expected"), [(4, 2), (3, 2), (8, 1), (20, 1)])
def test_iterations_of_an_epoch_by_default(small_model, loop_arguments, batch_size, expected):
    steps = []
    schedules = []

    def optimizer(groups):
        made = torch.optim.SGD(groups)
        made.register_step_post_hook(lambda *_: steps.append(1))
        return made

    def schedule(optimizer, T_max):
        schedules.append(T_max)
        return torch.optim.lr_scheduler.ConstantLR(optimizer, 1.0)

    changes = {"batch_size": batch_size, "iters_per_epoch": -1, "num_epochs": 2, "verbose": False}
    run(small_model, loop_arguments, **changes, val_ds_fn=None, opt_type=optimizer, lr_sched=schedule)
    assert len(steps) == 2 * expected
    assert schedules == [2 * expected]


def test_batches_are_full_and_every_object_comes_as_often(small_model, loop_arguments):
    sizes, seen = [], []
    small_model.net.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))

    class Counting(LabelImageTargetDextrDataset):
        def __getitem__(self, index):
            seen.append(index)
            return super().__getitem__(index)

    dataset = loop_arguments["train_ds_fn"]
    counting = lambda transform: Counting(*dataset.args, transform=transform)  # noqa: E731
    changes = {"train_ds_fn": counting, "val_ds_fn": None, "batch_size": 3, "iters_per_epoch": 8, "num_epochs": 1}
    run(small_model, loop_arguments, **changes)
    assert sizes == [3] * 8
    assert sorted(seen[:24]) == sorted(list(range(8)) * 3)
    assert seen[:8] != seen[8:16]


def test_both_groups_learn(small_model, loop_arguments):
    before = [parameter.detach().clone() for parameter in small_model.net.parameters()]
    changes = {"num_epochs": 1, "iters_per_epoch": 2, "opt_type": "sgd", "verbose": False, "val_ds_fn": None}
    run(small_model, loop_arguments, **changes, pretrained_lr_factor=0.0)
    after = list(small_model.net.parameters())
    assert same(before[:4], after[:4])
    assert not any(torch.equal(a, b) for a, b in zip(before[4:], after[4:], strict=True))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"opt_type": "lion"}, "no optimiser 'lion'"),
        ({"lr_sched": "step"}, "no learning rate schedule 'step'"),
        ({"batch_size": 0, "num_epochs": 0}, "batch_size is 0, num_epochs is 0; expected at least 1"),
        ({"iters_per_epoch": 0}, "iters_per_epoch is 0"),
        ({"val_every_n_epochs": 0}, "val_every_n_epochs is 0"),
    ],
)
def test_wrong_arguments(small_model, loop_arguments, changes, message):
    with pytest.raises(ValueError, match=message):
        run(small_model, loop_arguments, **changes, verbose=False)


def test_sets_that_cannot_be_used(small_model, loop_arguments):
    def empty(**settings):
        return LabelImageTargetDextrDataset([], [], **settings)

    with pytest.raises(ValueError, match="the training set has no objects"):
        run(small_model, loop_arguments, train_ds_fn=empty)
    with pytest.raises(ValueError, match="the validation set has no objects"):
        run(small_model, loop_arguments, val_ds_fn=empty)
    with pytest.raises(ValueError, match="the validation set has 4 objects, its truth 0"):
        run(small_model, loop_arguments, val_truth_ds_fn=empty)
