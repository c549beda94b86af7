"""Training on small images of discs and rectangles: it learns, it is resumed, it runs in several processes."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch.amp.grad_scaler import GradScaler

from maskworks import log
from maskworks.errors import DeviceError
from maskworks_tensormask import train_command
from maskworks_torch import device
from maskworks_torch.training.interruption import Interrupted, Interruption
from maskworks_torch.training.processes import Processes
from tensormask.config import Config
from tensormask.errors import CheckpointError, DatasetError
from tensormask.model import TensorMask
from tensormask.training import coco_dataset, training_loop
from tensormask.training.batches import EndlessBatches
from tensormask.training.coco_dataset import Record, read_records
from tensormask.training.solver import rate_factor
from tensormask.training.training_loop import train
from tensormask.training.training_state import TrainingState

CPU = Processes(0, 1, torch.device("cpu"))
# A small network whose random backbone stays as it is: without batch normalisation only a tamed one can be trained.
TEXT = """
MODEL.RESNETS.DEPTH 18 MODEL.RESNETS.STEM_OUT_CHANNELS 16 MODEL.RESNETS.RES2_OUT_CHANNELS 16 MODEL.FPN.OUT_CHANNELS 32
MODEL.TENSOR_MASK.CLS_CHANNELS 32 MODEL.TENSOR_MASK.BBOX_CHANNELS 32 MODEL.TENSOR_MASK.MASK_CHANNELS 32
MODEL.TENSOR_MASK.NUM_CLASSES 2 MODEL.TENSOR_MASK.NUM_CONVS 1 MODEL.TENSOR_MASK.MASK_LOSS_WEIGHT 4.0
MODEL.PIXEL_STD (100.0,100.0,100.0) MODEL.BACKBONE.FREEZE_AT 5
INPUT.MIN_SIZE_TRAIN (64,) INPUT.MIN_SIZE_TEST 64 SOLVER.IMS_PER_BATCH 4 SOLVER.BASE_LR 0.006 SOLVER.WARMUP_ITERS 40
SOLVER.MAX_ITER 8 SOLVER.STEPS (300,) DATALOADER.NUM_WORKERS 0 SEED 1
"""
SETTINGS = TEXT.split()
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


def test_the_command_ends_with_the_number_of_the_signal(original, shapes, tmp_path):
    data = ["--annotations", str(shapes[0]), "--images", str(shapes[1]), "--output_dir", str(tmp_path)]
    command = [sys.executable, "-m", "maskworks_tensormask.train_command", str(original.config), *data, "--device=cpu"]
    flags = [*SETTINGS, "SOLVER.MAX_ITER", "100000", "SOLVER.IMS_PER_BATCH", "1", "SOLVER.CHECKPOINT_PERIOD", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([*command, *flags], stderr=subprocess.PIPE, text=True, env=environment) as process:
        while not (tmp_path / "last_checkpoint").exists():  # in the midst of it
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        said = process.communicate()[1]
    assert process.returncode == 128 + signal.SIGTERM
    assert "--resume goes on from there" in said
    assert (tmp_path / (tmp_path / "last_checkpoint").read_text()).exists()


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


def test_losses_that_are_no_numbers_end_it(setting, tmp_path):
    config, records = setting("SOLVER.BASE_LR", "1e30", "SOLVER.WARMUP_ITERS", "0")
    with pytest.raises(FloatingPointError, match="try a lower"):
        train(config, records, tmp_path, CPU)
    assert not (tmp_path / "model_final.pth").exists()


@pytest.mark.slow("trains a network")
def test_the_command_with_values_between_its_flags(original, shapes, tmp_path):
    data = ["--annotations", str(shapes[0]), "--images", str(shapes[1])]
    flags = [*data, *SETTINGS, "SOLVER.MAX_ITER", "1", "--output_dir", "20251121", "--device", "cpu"]
    command = [sys.executable, "-m", "maskworks_tensormask.train_command", str(original.config)]
    result = subprocess.run([*command, *flags], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 0, result.stderr[-3000:]
    folder = tmp_path / "20251121"
    assert TensorMask.from_files(folder / "config.yaml", folder / "model_final.pth").config.output_dir == "20251121"


def test_each_process_touches_its_own_gpu_only(monkeypatch):
    asked = []

    def select_device(name):
        asked.append(name)
        raise DeviceError("it is only asked for")

    # Several GPUs and the processes of torchrun are said to be there; the tests have none.
    monkeypatch.setattr(device, "select_device", select_device)
    monkeypatch.setattr(log, "set_up", lambda config: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for processes in ("8", "1"):
        for name in ("RANK", "LOCAL_RANK"):
            monkeypatch.setenv(name, "5")
        monkeypatch.setenv("WORLD_SIZE", processes)
        for name in ("auto", "cuda", "cuda:0", "cuda:3", "cpu"):
            assert train_command.run(["config.yaml", "--device", name]) == DeviceError.exit_code
    # One GPU for several processes is refused, as in every training.
    assert asked == ["cuda:5", "cuda:5", "cuda:5", "cpu", "auto", "cuda", "cuda:0", "cuda:3", "cpu"]


@pytest.mark.slow("trains a network")
def test_the_command_in_two_processes(original, shapes, tmp_path):
    flags = [
        "--annotations",
        str(shapes[0]),
        "--images",
        str(shapes[1]),
        "--device",
        "cpu",
        "--output_dir",
        str(tmp_path),
    ]
    settings = [*SETTINGS, "SOLVER.MAX_ITER", "3", "INPUT.RANDOM_FLIP", "none"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    result = subprocess.run(
        [*command, "maskworks_tensormask.train_command", str(original.config), *settings, *flags],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    model = TensorMask.from_files(tmp_path / "config.yaml", tmp_path / "model_final.pth")
    assert all(value.isfinite().all() for value in model.net.state_dict().values())


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
