"""What is said before anything is trained."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from maskworks.errors import CheckpointError, ConfigError
from maskworks_mmdet import train_command
from maskworks_mmdet.sample_data import write_coco
from maskworks_mmdet.train_config import TrainConfig
from tests.support.mmdet_school import NEEDS_MMDET

pytestmark = NEEDS_MMDET


@pytest.fixture
def prepared(tmp_path, monkeypatch, mmdet):
    """The config as it would be trained, from flags and MMDET_CLASSES, in a folder with data."""
    write_coco(tmp_path / "data", "train.json", range(2))
    write_coco(tmp_path / "data", "val.json", range(2, 3))
    monkeypatch.chdir(tmp_path)

    def prepare(classes="disc,box", config="mask-rcnn_r18_scratch.py", **flags):
        from maskworks_mmdet.training import prepare

        monkeypatch.delenv("MMDET_CLASSES", raising=False)
        if classes is not None:
            monkeypatch.setenv("MMDET_CLASSES", classes)
        return prepare(TrainConfig(config=Path(config), **flags))

    return prepare


def test_classes_reach_all_data_sets(prepared):
    config = prepared()
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        assert tuple(config[loader].dataset.metainfo.classes) == ("disc", "box")


def test_classes_from_a_file(prepared, tmp_path):
    (tmp_path / "labels.txt").write_text("disc,box")
    assert tuple(prepared(str(tmp_path / "labels.txt")).train_dataloader.dataset.metainfo.classes) == ("disc", "box")


def test_wrong_number_of_classes_is_an_error_with_the_remedy(prepared):
    with pytest.raises(ConfigError) as caught:
        prepared("disc")
    text = str(caught.value)
    assert "1 class names (disc), but model.roi_head.bbox_head.num_classes is 2" in text
    assert "--cfg-options model.roi_head.bbox_head.num_classes=1 model.roi_head.mask_head.num_classes=1" in text
    options = ("model.roi_head.bbox_head.num_classes=1", "model.roi_head.mask_head.num_classes=1")
    assert prepared("disc", cfg_options=options).model.roi_head.mask_head.num_classes == 1


def test_classes_that_are_not_annotated_are_an_error_with_the_remedy(prepared):
    with pytest.raises(ConfigError, match=r"no category cat; its categories are disc, box.*\"'disc','box'\""):
        prepared("disc,cat")


def test_classes_in_another_order_are_an_error_with_the_remedy(prepared):
    with pytest.raises(ConfigError, match=r"train_dataloader: the classes are box, disc, but .*to \"'disc','box'\""):
        prepared("box,disc")


def with_categories(file, names):
    """Gives an annotation file these categories."""
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "categories": [{"id": i, "name": name} for i, name in enumerate(names)]}))


@pytest.mark.parametrize("classes", ["disc,box", "box,disc"])
def test_annotations_to_validate_with_in_another_order(prepared, tmp_path, classes):
    """Other names would not help, so it says what would, whatever the names are."""
    with_categories(tmp_path / "data" / "val.json", ["box", "disc"])
    with pytest.raises(ConfigError) as caught:
        prepared(classes)
    *trained, validated = caught.value.problems
    named = classes.replace(",", ", ")
    assert validated.startswith(f"val_dataloader: the classes are {named}, but data/val.json has its categories in")
    assert validated.endswith("; sort them there: disc, box")
    assert [problem.rpartition("; ")[2] for problem in trained] == (
        [] if classes == "disc,box" else ["set MMDET_CLASSES to \"'disc','box'\""]
    )
    with_categories(tmp_path / "data" / "val.json", ["disc", "box"])
    assert prepared("disc,box")


def test_a_category_that_is_there_twice(prepared, tmp_path):
    with_categories(tmp_path / "data" / "train.json", ["disc", "disc", "box"])
    with pytest.raises(ConfigError, match=r"^train_dataloader: data/train\.json has more than one category disc; .*\Z"):
        prepared()
    with pytest.raises(ConfigError, match=r"train\.json has no category cat; .*to \"'disc','box'\"\n"):
        prepared("disc,cat")


def test_categories_with_blanks(prepared, tmp_path):
    """MMDET_CLASSES cannot name them."""
    with_categories(tmp_path / "data" / "train.json", ["disc ", "box"])
    with pytest.raises(ConfigError, match=r"train\.json has categories that begin or end with a blank: \"'disc '\";"):
        prepared()


@pytest.mark.parametrize("name", ["O'Brien, cup", "'", 'say "x"', "$HOME `a`", "a\\b"])
def test_names_of_all_kinds_can_be_set_as_it_says(prepared, tmp_path, name):
    for file in ("train.json", "val.json"):
        with_categories(tmp_path / "data" / file, [name, "box"])
    with pytest.raises(ConfigError) as caught:
        prepared()
    told = caught.value.problems[0].rpartition("for example to ")[2]
    classes = subprocess.run(["sh", "-c", f"printf %s {told}"], capture_output=True, text=True, check=True).stdout
    assert tuple(prepared(classes).train_dataloader.dataset.metainfo.classes) == (name, "box")


def test_labels_are_numbered_in_the_order_of_the_annotations(prepared):
    """MMDetection's own doing, which makes the order matter."""
    from mmdet.registry import DATASETS
    from mmengine.registry import init_default_scope

    config = prepared()
    config.train_dataloader.dataset.metainfo.classes = ("box", "disc")
    init_default_scope("mmdet")
    assert DATASETS.build(config.train_dataloader.dataset).cat2label == {1: 0, 2: 1}


def test_names_in_a_file_of_the_config(prepared, tmp_path):
    (tmp_path / "names.txt").write_text("disc\nbox\n")
    loaders = ("train_dataloader", "val_dataloader")
    prepared(None, cfg_options=tuple(f"{loader}.dataset.metainfo.classes=names.txt" for loader in loaders))
    with pytest.raises(ConfigError, match=r"no category none\.txt"):
        prepared(None, cfg_options=tuple(f"{loader}.dataset.metainfo.classes=none.txt" for loader in loaders))


@pytest.mark.parametrize(
    "options",
    [("data_root=s3://bucket/",), ("data_root=x/", "ann_file=s3://bucket/a.json"), ("backend_args.backend=petrel",)],
)
def test_annotations_that_are_not_files_are_left_to_mmengine(prepared, tmp_path, options):
    (tmp_path / "data" / "train.json").unlink()
    assert prepared(cfg_options=tuple(f"train_dataloader.dataset.{option}" for option in options))


def test_data_for_tests_may_be_missing(prepared):
    assert prepared(cfg_options=("test_dataloader.dataset.ann_file=none.json",))


def test_a_panoptic_model_counts_its_things(mmdet):
    from maskworks_mmdet.configs import find_config, read_config
    from maskworks_mmdet.training_data import check_classes

    config = read_config(find_config(Path("panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py")))
    for loader in ("train_dataloader", "val_dataloader"):
        config[loader].dataset.data_root = "s3://coco/"
    check_classes(config)


def test_without_names_those_of_the_data_set_count(prepared):
    with pytest.raises(ConfigError, match="80 class names"):
        prepared(None)


def test_missing_annotations(prepared, tmp_path):
    (tmp_path / "data" / "train.json").unlink()
    with pytest.raises(ConfigError, match=r"train_dataloader: data/train\.json: No such file"):
        prepared()
    (tmp_path / "data" / "train.json").write_text(json.dumps({"images": []}))
    with pytest.raises(ConfigError, match="expected annotations in COCO's format"):
        prepared()


def test_a_missing_work_dir_gets_a_default_and_a_notice(prepared, capsys):
    config = prepared()
    assert config.work_dir == "work_dirs/mask-rcnn_r18_scratch"
    assert Path(config.work_dir).is_dir()
    assert "go to work_dirs/mask-rcnn_r18_scratch; --work-dir sets another" in capsys.readouterr().err


def test_the_work_dir_of_the_config_and_of_the_flag(prepared, capsys):
    assert prepared(cfg_options=("work_dir=here",)).work_dir == "here"
    assert prepared(cfg_options=("work_dir=here",), work_dir=Path("there")).work_dir == "there"
    assert capsys.readouterr().err == ""


def test_a_work_dir_that_cannot_be_written(prepared, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="--work-dir: file/x: "):
        prepared(work_dir=Path("file/x"))
    if os.getuid():
        (tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(ConfigError, match="no permission"):
            prepared(work_dir=Path("locked"))


def test_options_change_the_config(prepared):
    options = ("train_dataloader.batch_size=1", "model.neck.in_channels=[8,16,32,64]", "param_scheduler.1.end=7")
    config = prepared(cfg_options=options)
    assert config.train_dataloader.batch_size == 1
    assert config.model.neck.in_channels == [8, 16, 32, 64]
    assert config.param_scheduler[1].end == 7


@pytest.mark.parametrize("option", ["batch_size", "=3", "param_scheduler.9.end=1"])
def test_options_that_make_no_sense(prepared, option):
    with pytest.raises(ConfigError, match="--cfg-options"):
        prepared(cfg_options=(option,))


def test_a_run_goes_on_from_its_last_checkpoint_or_a_named_one(prepared, tmp_path):
    config = prepared(resume="auto")
    assert config.resume is True
    assert config.load_from is None
    (tmp_path / "c.pth").write_text("")
    assert prepared(resume="c.pth").load_from == "c.pth"
    with pytest.raises(ConfigError, match=r"--resume: d\.pth is not a file"):
        prepared(resume="d.pth")


def test_amp_needs_a_gpu(prepared):
    import torch

    if torch.cuda.is_available():
        assert prepared(amp=True).optim_wrapper.type == "AmpOptimWrapper"
    else:
        with pytest.raises(ConfigError, match="--amp: needs a GPU"):
            prepared(amp=True)


def test_auto_scale_lr_needs_its_base(prepared):
    with pytest.raises(ConfigError, match="base_batch_size"):
        prepared(auto_scale_lr=True)
    config = prepared(auto_scale_lr=True, cfg_options=("auto_scale_lr.base_batch_size=16",))
    assert config.auto_scale_lr.enable is True


@pytest.mark.parametrize(("name", "error"), [("none.py", ConfigError), ("two.py", CheckpointError)])
def test_configs_that_cannot_be_used(prepared, tmp_path, name, error):
    (tmp_path / "two.py").write_text("model = dict(")
    with pytest.raises(error, match=name):
        prepared(config=name)


def test_an_operator_without_cpu_is_named(mmdet):
    """The message is mmcv's own, from an operator that has no CPU version."""
    import torch
    from mmcv.ops import carafe

    from maskworks_mmdet.operators import MISSING, missing_operator

    with pytest.raises(RuntimeError) as caught:
        carafe(torch.ones(1, 4, 4, 4), torch.ones(1, 9, 8, 8), 3, 1, 2)
    found = MISSING.search(str(caught.value))
    assert found is not None
    assert missing_operator(*found.groups()).startswith("the operator carafe_forward of mmcv does not run on cpu here")


@pytest.mark.parametrize("flag", ["--work_dir", "--work-dir"])
def test_flags_of_the_old_tool(monkeypatch, flag):
    seen = []
    monkeypatch.setattr(
        train_command, "run_command", lambda parser, body, argv: seen.append(parser.parse_args(argv)) or 0
    )
    argv = [
        "c.py",
        flag,
        "w",
        "--cfg-options",
        "a=1",
        "b=2",
        "--resume",
        "--amp",
        "--auto-scale-lr",
        "--launcher",
        "slurm",
    ]
    assert train_command.main([*argv, "--local_rank", "3"]) == 0
    (args,) = seen
    assert (args.work_dir, args.cfg_options, args.resume) == (Path("w"), ["a=1", "b=2"], "auto")
    assert (args.amp, args.auto_scale_lr, args.launcher, args.local_rank) == (True, True, "slurm", 3)
