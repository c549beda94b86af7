"""Configs of detectron2: bases, literals, what is ignored, what is refused."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import pairwise

import pytest

from tensormask import config_file
from tensormask.config import Config
from tensormask.errors import ConfigError
from tensormask.network import build

CONFIGS = {
    "tensormask_R_50_FPN_1x.yaml": (90000, (60000, 80000), (800,)),
    "tensormask_R_50_FPN_6x.yaml": (540000, (480000, 520000), (640, 800)),
}
GOOD = """
MODEL:
  META_ARCHITECTURE: TensorMask
  BACKBONE: {NAME: build_retinanet_resnet_fpn_backbone}
  RESNETS: {OUT_FEATURES: [res2, res3, res4, res5]}
  ANCHOR_GENERATOR: {SIZES: [[44, 60], [88, 120], [176, 240], [352, 480], [704, 960], [1408, 1920]]}
  FPN: {IN_FEATURES: [res2, res3, res4, res5]}
"""


@pytest.mark.parametrize("name", CONFIGS)
def test_the_configs_of_the_original(original, name):
    config = Config.from_file(original.folder / "configs" / name)
    assert (config.max_iter, config.lr_steps, config.min_size_train) == CONFIGS[name]
    assert (config.depth, config.fuse_type, config.aligned_on, config.bipyramid_on, config.mask_on) == (
        50, "avg", True, True, True,
    )  # fmt: skip
    assert config.weights == "detectron2://ImageNetPretrained/MSRA/R-50.pkl"
    assert config.mask_sizes == (11, 15)
    assert config.base_lr == 0.02


def test_the_dump_of_a_training_says_the_same(original):
    dump = Config.from_file(original.folder / "config_dump_6x.yaml")
    assert dump == Config.from_file(original.folder / "configs" / "tensormask_R_50_FPN_6x.yaml")


def test_what_is_written_is_read_again(original, tmp_path):
    config = Config.from_file(original.config)
    config_file.write(config.as_nested(), tmp_path / "config.yaml")
    assert Config.from_file(tmp_path / "config.yaml") == config


@pytest.mark.parametrize("text", ["20251121", "1e3", "None", "(a)", "(1,)", "true", "0x10", "'a'", "[]", " 7", "it's"])
def test_a_string_stays_a_string(original, tmp_path, text):
    config = replace(Config.from_file(original.config), output_dir=text, datasets_train=(text,))
    config_file.write(config.as_nested(), tmp_path / "config.yaml")
    assert Config.from_file(tmp_path / "config.yaml") == config


def test_bases_are_merged_in_their_order(tmp_path):
    (tmp_path / "deeper").mkdir()
    (tmp_path / "first.yaml").write_text("A: {x: 1, y: 1, z: [1, 2]}\nB: 1\n")
    (tmp_path / "deeper" / "second.yaml").write_text("A: {y: 2}\nB: 2\n")
    (tmp_path / "own.yaml").write_text("_BASE_: [first.yaml, deeper/second.yaml]\nA: {z: [3]}\n")
    assert config_file.read(tmp_path / "own.yaml") == {"A": {"x": 1, "y": 2, "z": [3]}, "B": 2}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("(640, 800)", (640, 800)),
        ("1e-3", 0.001),
        ('"(1,)"', (1,)),
        ("a/b", "a/b"),
        ("'None'", None),
        ("'C:\\d'", "C:\\d"),
    ],
)
def test_strings_are_literals(tmp_path, text, value):
    (tmp_path / "own.yaml").write_text(f"KEY: {text}\n")
    assert config_file.read(tmp_path / "own.yaml") == {"KEY": value}


def test_overrides(original):
    config = Config.from_file(original.config, ["SOLVER.STEPS", "(3, 4)", "MODEL.TENSOR_MASK.NUM_CLASSES", "5"])
    assert (config.lr_steps, config.num_classes) == ((3, 4), 5)
    with pytest.raises(ConfigError, match="has no value"):
        Config.from_file(original.config, ["SEED"])
    with pytest.raises(ConfigError, match=r"SOLVER\.BASE_LRATE is not a key of .* did you mean SOLVER\.BASE_LR\?"):
        Config.from_file(original.config, ["SOLVER.BASE_LRATE", "0.5", "SEED", "1"])
    for key in ("MODEL.DEVICES", "TEST.WEIGHTS"):  # near a key of another section, or of another meaning
        with pytest.raises(ConfigError, match=rf"{key} is not a key of this config$"):
            Config.from_file(original.config, [key, "x"])
    dump = original.folder / "config_dump_6x.yaml"  # has keys that do not matter here
    assert Config.from_file(dump, ["TEST.EVAL_PERIOD", "5", "MODEL.FPN.NORM", ""]) == Config.from_file(dump)


def test_overrides_without_effect(original, caplog):
    """Usual on detectron2's command line."""
    assert Config.from_file(original.config, ["MODEL.DEVICE", "cpu", "TEST.EVAL_PERIOD", "5"]) == Config.from_file(
        original.config
    )
    assert caplog.messages == [
        "MODEL.DEVICE has no effect here: give --device",
        "TEST.EVAL_PERIOD has no effect here: nothing is evaluated while it trains",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: !!python/object/apply:os.system ['touch executed']", "refused"),
        ("a: !!python/name:os.system ''", "refused"),
        ("a: [", "not YAML"),
        ("- 1", "expected sections"),
        ("_BASE_: https://example.org/a.yaml", "download it first"),
        ("_BASE_: own.yaml", "name itself"),
        ("_BASE_: nowhere.yaml", "nowhere.yaml"),
        ("_BASE_: 7", "expected a path"),
        ("VERSION: 3", "VERSION is 3"),
        ("a: &a [*a]", "aliases"),
        ("MODEL: &m {MODEL: *m}", "aliases"),
        ("\x00", "not YAML"),
        ("_BASE_: /dev/zero", "is no regular file"),
        ("_BASE_: /proc/self/pagemap", "holds NoneType|cannot be read"),
        ("_BASE_: pipe", "is no regular file"),
        ("_BASE_: link", "is no regular file"),
        ("_BASE_: large", "is larger than"),
        ("_BASE_: [" + "empty.yaml, " * 101 + "]", "more than 100 bases"),
        ("A: 1" + ":1" * 200_000, "thousands of digits"),
        ("A: 1" + ":1" * 1_000 + ".5", "not YAML"),
    ],
)
def test_what_is_no_config_is_refused(tmp_path, monkeypatch, text, words):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "large").write_bytes(bytes(1024 * 1024 + 1))
    (tmp_path / "empty.yaml").write_text("{}")
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(ConfigError, match=words):
        Config.from_file(tmp_path / "own.yaml")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("MODEL.META_ARCHITECTURE", "MaskRCNN", "'TensorMask'"),
        ("MODEL.RESNETS.NORM", "BN", "FrozenBN"),
        ("MODEL.RESNETS.DEPTH", "51", "DEPTH: 51"),
        ("MODEL.RESNETS.DEPTH", "True", "expected int"),
        ("MODEL.TENSOR_MASK.NUM_CLASSES", "0", "at least 1"),
        ("MODEL.TENSOR_MASK.NUM_CLASSES", "'many'", "expected int"),
        ("MODEL.TENSOR_MASK.BIPYRAMID_ON", "True", "needs ALIGNED_ON"),
        ("MODEL.TENSOR_MASK.IN_FEATURES", "['p3']", "without gaps"),
        ("MODEL.ANCHOR_GENERATOR.SIZES", "[[44, 45]] * 6", "list"),
        ("MODEL.ANCHOR_GENERATOR.SIZES", "[[44, 45]]", "levels"),
        ("MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", "[[0.5, 1.0]]", "ASPECT_RATIOS"),
        ("MODEL.PIXEL_STD", "[0.0, 1.0, 1.0]", "deviation"),
        ("INPUT.FORMAT", "HSV", "FORMAT"),
        ("SOLVER.STEPS", "(1.5,)", "list of int"),
    ],
)
def test_values_that_cannot_be(tmp_path, key, value, words):
    (tmp_path / "own.yaml").write_text(GOOD)
    Config.from_file(tmp_path / "own.yaml")
    with pytest.raises(ConfigError, match=words):
        Config.from_file(tmp_path / "own.yaml", [key, value])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("SOLVER.CLIP_GRADIENTS.ENABLED", "True"),
        ("SOLVER.LR_SCHEDULER_NAME", "WarmupCosineLR"),
        ("SOLVER.REFERENCE_WORLD_SIZE", "8"),
        ("SOLVER.IMS_PER_BATCH", "0"),
        ("SOLVER.WARMUP_METHOD", "cosine"),
        ("DATALOADER.SAMPLER_TRAIN", "RepeatFactorTrainingSampler"),
        ("INPUT.CROP.ENABLED", "True"),
        ("INPUT.RANDOM_FLIP", "vertical"),
        ("INPUT.MIN_SIZE_TRAIN", "()"),
    ],
)
def test_what_only_training_needs_stops_only_training(tmp_path, key, value):
    (tmp_path / "own.yaml").write_text(GOOD)
    assert Config.from_file(tmp_path / "own.yaml", [key, value]).depth == 50
    with pytest.raises(ConfigError, match=key.rpartition(".")[2]):
        Config.from_file(tmp_path / "own.yaml", [key, value], training=True)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("NUM_CONVS", "100000000", "at most"),
        ("NUM_CONVS", "0x" + "f" * 5000, "at most"),
        ("CLS_CHANNELS", "1000000", "at most"),
        ("CLS_CHANNELS", "-3", "at least 1"),
        ("MASK_CHANNELS", "0", "at least 1"),
        ("NUM_CLASSES", "10000000000000", "at most"),
        ("TOPK_CANDIDATES_TEST", "10000000000000", "at most"),
    ],
)
def test_a_network_has_bounds(tmp_path, key, value, words):
    (tmp_path / "own.yaml").write_text(GOOD)
    with pytest.raises(ConfigError, match=rf"{key}: .*expected {words}"):
        Config.from_file(tmp_path / "own.yaml", [f"MODEL.TENSOR_MASK.{key}", value])


@pytest.mark.parametrize("size", ["1000000000", "1e300", ".inf", ".nan", "3"])
def test_anchors_have_bounds(tmp_path, size):
    (tmp_path / "own.yaml").write_text(GOOD.replace("[44, 60]", f"[44, {size}]"))
    with pytest.raises(ConfigError, match=r"SIZES: .*expected at (least 4|most)"):
        Config.from_file(tmp_path / "own.yaml")


def test_all_weights_together_have_a_bound(tmp_path):
    (tmp_path / "own.yaml").write_text(GOOD)
    channels = ["MODEL.FPN.OUT_CHANNELS", "60000", "MODEL.RESNETS.RES2_OUT_CHANNELS", "60000"]
    config = Config.from_file(tmp_path / "own.yaml", channels)
    with pytest.raises(ConfigError, match="weights; expected at most"):
        build(config)


def test_all_problems_at_once(tmp_path):
    (tmp_path / "own.yaml").write_text(GOOD)
    with pytest.raises(ConfigError) as error:
        Config.from_file(tmp_path / "own.yaml", ["MODEL.RESNETS.DEPTH", "51", "INPUT.FORMAT", "HSV"])
    assert len(error.value.problems) == 2


def test_merges_are_counted_before_they_are_made(tmp_path):
    """463 bytes of them once took minutes and gigabytes, for a map of two values."""
    lines = ["a: &a {x: 1, y: 2}"]
    for before, name in pairwise("abcdefghijklmnop"):
        lines.append(f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 4)}]}}")
    (tmp_path / "own.yaml").write_text("\n".join(lines))
    with pytest.raises(ConfigError, match="aliases stand for too many values"):
        config_file.read(tmp_path / "own.yaml")
    (tmp_path / "own.yaml").write_text("\n".join([*lines[:3], "A: {<<: *c, y: 3}"]))
    assert config_file.read(tmp_path / "own.yaml")["A"] == {"x": 1, "y": 3}


def test_aliases_are_written_once_and_not_a_billion_times(tmp_path):
    def lists(alias):
        return "[" + ",".join([alias] * 500) + "]"

    text = f"a: &a {lists('1')}\nb: &b {lists('*a')}\nc: &c {lists('*b')}\nMODEL: {{META_ARCHITECTURE: {lists('*c')}}}"
    (tmp_path / "own.yaml").write_text(text)
    with pytest.raises(ConfigError, match="aliases stand for too many values"):
        Config.from_file(tmp_path / "own.yaml")
    (tmp_path / "own.yaml").write_text(
        GOOD.replace("[res2, res3, res4, res5]", "&names [res2, res3, res4, res5]", 1).replace(
            "{IN_FEATURES: [res2, res3, res4, res5]}", "{IN_FEATURES: *names}"
        )
    )
    assert Config.from_file(tmp_path / "own.yaml").depth == 50
