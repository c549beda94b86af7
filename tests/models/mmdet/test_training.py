"""Training from where another one ended, and what it must not do."""

import multiprocessing
import os
import re
import shutil
import sys
import warnings
from collections import OrderedDict
from pathlib import Path

import pytest
import torch

from maskworks_mmdet import train_command
from tests.support.mmdet_school import NEEDS_MMDET

pytestmark = [NEEDS_MMDET, pytest.mark.slow("trains a detector")]


def trains(folder, *flags, **environment):
    """Exit code and messages of `mmdet_train`, in a process of its own that has MMDetection imported already."""

    def body():
        os.chdir(folder)
        os.environ.update(environment, MMDET_CLASSES="disc,box")
        warnings.resetwarnings()
        with open("said.txt", "w") as said:  # noqa: PTH123
            sys.stderr = sys.stdout = said
            code = train_command.main(flags)
        os._exit(code)

    process = multiprocessing.get_context("fork").Process(target=body)
    process.start()
    process.join()
    return process.exitcode, (folder / "said.txt").read_text()


SHORT = (
    "--cfg-options",
    "train_cfg.max_iters=122",
    "train_cfg.val_interval=500",
    "default_hooks.checkpoint.interval=1",
)


def test_a_training_is_resumed(trained, mmdet, tmp_path):
    """Two more steps after the last one, from the checkpoint that is given."""
    flags = ("my_config.py", "--work-dir", str(tmp_path), "--resume", "my_model/iter_120.pth", *SHORT)
    code, said = trains(trained.folder, *flags)
    assert code == 0, said
    assert {path.name for path in tmp_path.glob("*.pth")} == {"iter_121.pth", "iter_122.pth"}
    assert "resumed epoch: 0, iter: 120" in said


class Evil:
    def __reduce__(self):
        return os.mkdir, (str(Evil.target),)


def test_a_checkpoint_that_runs_code_is_refused(trained, mmdet, tmp_path):
    Evil.target, path = tmp_path / "ran", tmp_path / "evil.pth"
    torch.save({**torch.load(trained.checkpoint, weights_only=False), "evil": Evil()}, path)
    code, said = trains(trained.folder, "my_config.py", "--work-dir", str(tmp_path / "w"), "--resume", str(path))
    assert code == 5, said
    assert f"the checkpoint to start from: {path}: refused: loads posix.mkdir" in said
    assert not Evil.target.exists()


def test_the_config_in_a_checkpoint_is_not_run(trained, mmdet, tmp_path):
    """MMEngine looks up in it on how many GPUs the training began. Nothing of the file can keep it from being taken."""
    content = torch.load(trained.checkpoint, weights_only=False)
    meta = OrderedDict(content["meta"], config=f"open({str(tmp_path / 'ran')!r}, 'w')")
    meta.pop = set
    torch.save({**content, "meta": meta}, tmp_path / "c.pth")
    resume = ("--work-dir", str(tmp_path / "w"), "--resume", str(tmp_path / "c.pth"))
    code, said = trains(trained.folder, "my_config.py", *resume, *SHORT)
    assert code == 0, said
    assert "resumed epoch: 0, iter: 120" in said
    assert not (tmp_path / "ran").exists()


def test_a_broken_checkpoint_to_resume_from(trained, mmdet, tmp_path):
    path = tmp_path / "half.pth"
    path.write_bytes(trained.checkpoint.read_bytes()[:100_000])
    code, said = trains(trained.folder, "my_config.py", "--work-dir", str(tmp_path / "w"), "--resume", str(path))
    assert code == 5, said
    assert f"the checkpoint to start from: {path}: not weights or broken" in said


def test_a_teacher_that_runs_code_is_refused(trained, mmdet, tmp_path):
    """It is loaded while the model is built."""
    from maskworks_mmdet.configs import find_config, read_config

    Evil.target, path = tmp_path / "ran", tmp_path / "evil.pth"
    torch.save({"state_dict": {}, "evil": Evil()}, path)
    config = read_config(trained.config)
    config.model = read_config(find_config(Path("ld/ld_r18-gflv1-r101_fpn_1x_coco.py"))).model
    config.model.bbox_head.num_classes = 2
    teacher = str(find_config(Path("gfl/gfl_r50_fpn_1x_coco.py")))
    config.model.update(teacher_config=teacher, teacher_ckpt=str(path))
    config.dump(tmp_path / "config.py")
    code, said = trains(trained.folder, str(tmp_path / "config.py"), "--work-dir", str(tmp_path / "w"))
    assert code == 5, said
    assert f"config.py: a checkpoint that the model loads: {path}: refused: loads posix.mkdir" in said
    assert not Evil.target.exists()


def test_an_operator_that_the_cpu_lacks_is_named(trained, mmdet, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("training would use the GPU")
    flags = ("my_config.py", "--work-dir", str(tmp_path), "--cfg-options", "model.neck.type=FPN_CARAFE")
    code, said = trains(trained.folder, *flags)
    assert code == 6, said
    assert "the operator carafe_forward of mmcv does not run on cpu here" in said


def test_pretrained_weights_that_cannot_be_downloaded(trained, mmdet, tmp_path):
    """One line that names the file and its place, instead of a traceback."""
    config = trained.config.read_text().replace("type='ResNet'", "type='ResNet', init_cfg=dict(type='Pretrained', "
        "checkpoint='http://localhost:9/some-weights.pth')")  # fmt: skip
    (tmp_path / "c.py").write_text(config)
    flags = (str(tmp_path / "c.py"), "--work-dir", str(tmp_path / "w"))
    code, said = trains(trained.folder, *flags, TORCH_HOME=str(tmp_path / "home"))
    assert code == 5, said
    place = tmp_path / "home" / "hub" / "checkpoints" / "some-weights.pth"
    assert said.splitlines()[-1].endswith(f"fetch it elsewhere and save it as {place}")
    assert "Traceback" not in said


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_picture_is_named(trained, mmdet, tmp_path, workers):
    """Also by another process, whose traceback nobody wants."""
    shutil.copytree(trained.folder / "data", tmp_path / "data")
    for file in (tmp_path / "data" / "images").iterdir():
        file.write_bytes(file.read_bytes()[:200])
    options = (f"train_dataloader.dataset.data_root={tmp_path / 'data'}", f"train_dataloader.num_workers={workers}")
    code, said = trains(
        trained.folder, "my_config.py", "--work-dir", str(tmp_path / "w"), "--cfg-options", *options
    )  # fmt: skip
    assert code == 2, said
    assert re.search(r"^mmdet_train: \S*images/picture\d\d\.png: .*; mend the file, or take it out", said, re.MULTILINE)
    assert "Traceback" not in said
