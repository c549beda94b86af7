"""Training on small images of discs and rectangles: it learns, it is resumed, bad data are refused."""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.amp.grad_scaler import GradScaler

from maskworks_torch.training.interruption import Interrupted, Interruption
from maskworks_torch.training.processes import Processes
from tensormask.config import Config
from tensormask.errors import CheckpointError, DatasetError
from tensormask.fpn import TopBlock
from tensormask.model import TensorMask
from tensormask.training import coco_dataset, training_loop
from tensormask.training.batches import EndlessBatches
from tensormask.training.coco_dataset import Record, read_records
from tensormask.training.solver import rate_factor
from tensormask.training.training_loop import train
from tensormask.training.training_state import TrainingState
from tests.support.tensormask_settings import SETTINGS

CPU = Processes(0, 1, torch.device("cpu"))
# pycocotools 2.0.11 does not know numpy 2.4 yet.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def setting(original, shapes):
    """From further settings to config and records."""

    def read(*overrides):
        config = Config.from_file(original.config, [*SETTINGS, *overrides])
        return config, read_records(*shapes, config)

    return read


def weights(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


@pytest.mark.slow("trains a network")
def test_it_learns_shapes(setting, tmp_path):
    config, records = setting("SOLVER.MAX_ITER", "240")
    model = TensorMask(train(config, records, tmp_path, CPU))
    lines = [json.loads(line) for line in (tmp_path / "metrics.json").read_text().splitlines()]
    assert lines[-1]["loss_cls"] < 0.5 * lines[0]["loss_cls"]
    assert lines[-1]["loss_mask"] < 0.6 * lines[0]["loss_mask"]
    overlaps, right = [], 0
    for record in records:
        with Image.open(record.path) as image:
            pixels = np.asarray(image.convert("RGB"))
        result = model.predict([pixels], threshold=0.05)[0]
        right += len(result.classes) > 0 and result.classes[0] == record.annotations[0]["category"]
        truth = np.abs(pixels.astype(int) - 100).max(2) > 40
        found = result.masks[0] if len(result.masks) else np.zeros_like(truth)
        overlaps.append((found & truth).sum() / (found | truth).sum())
    assert np.mean(overlaps) > 0.65
    assert right > 0.9 * len(records)


@pytest.mark.parametrize("seed", ["1", "-1"])
def test_an_interrupted_training_ends_like_another(setting, tmp_path, monkeypatch, seed):
    # Where no seed is set, it is drawn from the clock. Only the training's own: other threads look at it, too.
    clock = itertools.count(1_000_000_000)
    own = SimpleNamespace(time=lambda: next(clock), perf_counter=time.perf_counter)
    monkeypatch.setattr(training_loop, "time", own)
    config, records = setting("SOLVER.CHECKPOINT_PERIOD", "3", "SEED", seed)
    (tmp_path / "whole").mkdir()
    whole = weights(train(config, records, tmp_path / "whole", CPU))
    names = {path.name for path in (tmp_path / "whole").iterdir()}
    assert names == {"model_0000002.pth", "model_0000005.pth", "model_final.pth", "last_checkpoint", "metrics.json"}
    (tmp_path / "whole" / "last_checkpoint").write_text("model_0000002.pth")
    resumed = weights(train(config, records, tmp_path / "whole", CPU, resume=True))
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, msg=name)


@pytest.mark.parametrize("after", [0, 3])
def test_a_signal_leaves_a_checkpoint_to_go_on_from(setting, tmp_path, after):
    config, records = setting()
    whole = weights(train(config, records, tmp_path, CPU))
    (tmp_path / "last_checkpoint").unlink()
    asked = itertools.count()

    class AfterSomeSteps(Interruption):
        """As if a signal came in an iteration."""

        @property
        def signal(self):
            return signal.SIGTERM if next(asked) == after else 0

        @signal.setter
        def signal(self, _):
            pass

    with pytest.raises(Interrupted, match=f"stopped after {after} of 8 iterations") as stop:
        train(config, records, tmp_path, CPU, interruption=AfterSomeSteps())
    assert stop.value.signal == signal.SIGTERM
    resumed = weights(train(config, records, tmp_path, CPU, resume=True))
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, msg=name)


def test_scaling_may_begin_when_a_training_is_resumed(tmp_path):
    net = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(net.parameters())

    def state(scaled):
        scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer)
        return TrainingState(net, optimizer, scheduler, GradScaler("cpu", enabled=scaled), 0, 7)

    for before, after in ((False, True), (True, False), (True, True)):
        state(before).save(tmp_path, "model.pth")
        assert state(after).resume(tmp_path)


def test_what_is_not_used_is_not_trained(setting, tmp_path):
    levels = ["MODEL.TENSOR_MASK.IN_FEATURES", "['p2','p3']", "MODEL.ANCHOR_GENERATOR.SIZES", "[[44,60],[88,120]]"]
    config, records = setting(*levels, "SOLVER.MAX_ITER", "1")
    net = train(config, records, tmp_path, CPU)
    assert all(value.grad is not None for value in net.parameters() if value.requires_grad)
    assert net.backbone.get_submodule("fpn_output3").weight.requires_grad


def test_a_broken_checkpoint_is_named(setting, tmp_path):
    config, records = setting()
    (tmp_path / "last_checkpoint").write_text("../../model_7.pth")
    (tmp_path / "model_7.pth").write_bytes(b"broken")
    with pytest.raises(CheckpointError, match=r"model_7\.pth: cannot be resumed from"):
        train(config, records, tmp_path, CPU, resume=True)


def test_half_precision_and_bitmasks(setting, tmp_path):
    config, records = setting("SOLVER.AMP.ENABLED", "True", "INPUT.MASK_FORMAT", "bitmask", "SOLVER.MAX_ITER", "2")
    net = train(config, records, tmp_path, CPU)
    assert all(value.isfinite().all() for value in net.state_dict().values())
    assert all(value.dtype == torch.float32 for value in net.parameters())


def test_half_precision_of_images_of_one_pixel_at_the_top(setting):
    config, _ = setting()
    block = TopBlock(8, config.fpn_out_channels)
    for _ in range(20):
        used = [torch.full((size,), float("nan")) for size in (256, 1024, 4096, 9216, 36864, 65536)]
        del used  # a convolution that reads what nobody wrote is likely to read this
        block.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            torch.cat(block(torch.rand(4, 8, 2, 1, dtype=torch.bfloat16)), 2).sum().backward()
        assert all(value.grad.isfinite().all() for value in block.parameters())


def test_losses_that_are_no_numbers_end_it(setting, tmp_path):
    config, records = setting("SOLVER.BASE_LR", "1e30", "SOLVER.WARMUP_ITERS", "0")
    with pytest.raises(FloatingPointError, match="try a lower"):
        train(config, records, tmp_path, CPU)
    assert not (tmp_path / "model_final.pth").exists()


def test_batches_are_upright_or_wide_and_go_on_where_they_were():
    records = [Record(Path(str(n)), 10, 20 if n % 2 else 5, ()) for n in range(7)]

    def first(count, start, process=CPU):
        batches = iter(EndlessBatches(records, 2, 3, process, start, grouped=True))
        return [next(batches) for _ in range(count)]

    every = first(20, 0)
    assert all(a % 2 == b % 2 for (a, _), (b, _) in every)
    assert first(10, 10) == every[10:]
    assert {index for batch in every for index, _ in batch} == set(range(7))
    seeds = [seed for rank in (0, 1) for batch in first(9, 0, Processes(rank, 2, CPU.device)) for _, seed in batch]
    assert len(seeds) == len(set(seeds))


@pytest.mark.parametrize(
    ("iteration", "rate"), [(0, 2e-5), (500, 0.01001), (1000, 0.02), (59999, 0.02), (60000, 0.002), (80000, 0.0002)]
)
def test_the_learning_rate_follows_its_schedule(original, iteration, rate):
    config = Config.from_file(original.folder / "configs" / "tensormask_R_50_FPN_1x.yaml")
    assert config.base_lr * rate_factor(iteration, config) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c["categories"].append({"id": 1}), "3 categories; the config has 2"),
        (lambda c: c["annotations"].clear(), "no image with objects"),
        (lambda c: c.pop("images"), "not COCO annotations"),
        (lambda c: c["annotations"][0].update(segmentation={"size": [1, 1], "counts": [1]}), "run-length"),
        (lambda c: c["annotations"][0].update(category_id=1), "not COCO annotations"),
        (lambda c: c["annotations"][0].pop("bbox"), "annotation 0 has the bbox None; expected four numbers"),
        (lambda c: c["annotations"][0].update(bbox="1 1 5 5"), "annotation 0 has the bbox '1 1 5 5'"),
        (lambda c: c["annotations"][0].update(bbox=[1, 1, "5", 5]), "annotation 0 has the bbox"),
        (lambda c: c["annotations"][0].update(bbox=[1, 1, float("nan"), 5]), "annotation 0 has the bbox"),
    ],
)
def test_annotations_that_cannot_be_used(original, shapes, tmp_path, change, words):
    content = json.loads(shapes[0].read_text())
    change(content)
    (tmp_path / "a.json").write_text(json.dumps(content))
    config = Config.from_file(original.config, SETTINGS)
    with pytest.raises(DatasetError, match=words):
        read_records(tmp_path / "a.json", shapes[1], config)


def test_boxes_without_masks(setting, original, shapes, tmp_path):
    content = json.loads(shapes[0].read_text())
    for number, annotation in enumerate(content["annotations"]):
        annotation.pop("segmentation") if number % 2 else annotation.update(segmentation=[])
    (tmp_path / "a.json").write_text(json.dumps(content))
    config, _ = setting("MODEL.MASK_ON", "False", "SOLVER.MAX_ITER", "1")
    records = read_records(tmp_path / "a.json", shapes[1], config)
    assert [len(record.annotations) for record in records] == [1] * 24
    train(config, records, tmp_path, CPU)
    (line,) = (tmp_path / "metrics.json").read_text().splitlines()
    assert json.loads(line)["loss_box_reg"] > 0


def test_an_image_that_is_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(DatasetError, match="is no regular file"):
        coco_dataset._read_image(Record(tmp_path / "a.jpg", 1, 1, ()), "BGR")
