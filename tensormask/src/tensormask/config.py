"""The settings of a TensorMask network, of its input, its output and its training.

What is out of bounds is refused: a config may come from somebody else, and a network takes memory before it is known
that no weights are there for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tensormask import config_file
from tensormask.config_values import MISSING, as_lists, as_tuples, bounds_problem, lookup, shown, typed
from tensormask.errors import ConfigError
from tensormask.norms import GROUPS, NORMS

_PYRAMID = ("p2", "p3", "p4", "p5", "p6", "p7")
_STAGES = ("res2", "res3", "res4", "res5")
# Features of one form only: key, supported values, and the value where the file has none.
_FIXED: tuple[tuple[str, tuple[Any, ...], Any], ...] = (
    ("MODEL.META_ARCHITECTURE", ("TensorMask",), None),
    ("MODEL.BACKBONE.NAME", ("build_retinanet_resnet_fpn_backbone",), None),
    ("MODEL.RESNETS.NORM", ("FrozenBN",), "FrozenBN"),
    ("MODEL.RESNETS.RES5_DILATION", (1,), 1),
    ("MODEL.RESNETS.DEFORM_ON_PER_STAGE", ((False,) * 4,), (False,) * 4),
    ("MODEL.RESNETS.OUT_FEATURES", (_STAGES,), None),
    ("MODEL.FPN.IN_FEATURES", (_STAGES,), None),
    ("MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS", (((1.0,),),), ((1.0,),)),
)
# Likewise, for training only.
_FIXED_IN_TRAINING: tuple[tuple[str, tuple[Any, ...], Any], ...] = (
    ("INPUT.CROP.ENABLED", (False,), False),
    ("DATALOADER.SAMPLER_TRAIN", ("TrainingSampler",), "TrainingSampler"),
    ("SOLVER.CLIP_GRADIENTS.ENABLED", (False,), False),
    ("SOLVER.LR_SCHEDULER_NAME", ("WarmupMultiStepLR",), "WarmupMultiStepLR"),
    ("SOLVER.REFERENCE_WORLD_SIZE", (0,), 0),
)
# Lowest and highest of values: far beyond any published model.
_CHANNELS = (1, 65536)
_COUNT = (1, 100_000)
_SIDE = (1, 16384)
_ITERATIONS = (0, 10**9)
_ANCHOR_SIDE = (4, 65536)
_MOST_SIZES = 100  # of anchors at a location


def _key(
    name: str,
    default: Any,
    of: type | None = None,
    *,
    within: tuple[int, int] | None = None,
    choices: tuple[Any, ...] = (),
    training: bool = False,
) -> Any:
    # `of` is the type of a list's values, or of a value that may be None; `within` are the bounds of each number;
    # `training` says that bounds and choices only matter in training.
    metadata = {"key": name, "of": of or type(default), "within": within, "choices": choices, "training": training}
    return field(default=default, metadata=metadata)


_training = partial(_key, training=True)


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings in a config file, by field; the names in the file stand beside them, defaults are detectron2's.

    Lengths are pixels, colours are in the order of `image_format` and of 0 to 255.
    """

    weights: str = _key("MODEL.WEIGHTS", "")
    mask_on: bool = _key("MODEL.MASK_ON", False)
    pixel_mean: tuple[float, ...] = _key("MODEL.PIXEL_MEAN", (103.53, 116.28, 123.675), float)
    pixel_std: tuple[float, ...] = _key("MODEL.PIXEL_STD", (1.0, 1.0, 1.0), float)
    freeze_at: int = _key("MODEL.BACKBONE.FREEZE_AT", 2)
    depth: int = _key("MODEL.RESNETS.DEPTH", 50, choices=(18, 34, 50, 101, 152))
    stride_in_1x1: bool = _key("MODEL.RESNETS.STRIDE_IN_1X1", True)
    num_groups: int = _key("MODEL.RESNETS.NUM_GROUPS", 1, within=(1, 1024))
    width_per_group: int = _key("MODEL.RESNETS.WIDTH_PER_GROUP", 64, within=_CHANNELS)
    stem_out_channels: int = _key("MODEL.RESNETS.STEM_OUT_CHANNELS", 64, within=_CHANNELS)
    res2_out_channels: int = _key("MODEL.RESNETS.RES2_OUT_CHANNELS", 256, within=_CHANNELS)
    fpn_out_channels: int = _key("MODEL.FPN.OUT_CHANNELS", 256, within=_CHANNELS)
    fpn_norm: str = _key("MODEL.FPN.NORM", "", choices=("", *NORMS))
    fuse_type: str = _key("MODEL.FPN.FUSE_TYPE", "sum", choices=("sum", "avg"))
    anchor_sizes: tuple[tuple[float, ...], ...] = _key("MODEL.ANCHOR_GENERATOR.SIZES", (), tuple, within=_ANCHOR_SIDE)
    in_features: tuple[str, ...] = _key("MODEL.TENSOR_MASK.IN_FEATURES", _PYRAMID, str)
    num_convs: int = _key("MODEL.TENSOR_MASK.NUM_CONVS", 4, within=(1, 100))
    num_classes: int = _key("MODEL.TENSOR_MASK.NUM_CLASSES", 80, within=_COUNT)
    cls_channels: int = _key("MODEL.TENSOR_MASK.CLS_CHANNELS", 256, within=_CHANNELS)
    bbox_channels: int = _key("MODEL.TENSOR_MASK.BBOX_CHANNELS", 128, within=_CHANNELS)
    mask_channels: int = _key("MODEL.TENSOR_MASK.MASK_CHANNELS", 128, within=_CHANNELS)
    aligned_on: bool = _key("MODEL.TENSOR_MASK.ALIGNED_ON", False)
    bipyramid_on: bool = _key("MODEL.TENSOR_MASK.BIPYRAMID_ON", False)
    score_thresh: float = _key("MODEL.TENSOR_MASK.SCORE_THRESH_TEST", 0.05)
    topk_candidates: int = _key("MODEL.TENSOR_MASK.TOPK_CANDIDATES_TEST", 6000, within=_COUNT)
    nms_thresh: float = _key("MODEL.TENSOR_MASK.NMS_THRESH_TEST", 0.5)
    bbox_reg_weights: tuple[float, ...] = _key("MODEL.TENSOR_MASK.BBOX_REG_WEIGHTS", (1.5, 1.5, 0.75, 0.75), float)
    focal_loss_gamma: float = _key("MODEL.TENSOR_MASK.FOCAL_LOSS_GAMMA", 3.0)
    focal_loss_alpha: float = _key("MODEL.TENSOR_MASK.FOCAL_LOSS_ALPHA", 0.3)
    mask_loss_weight: float = _key("MODEL.TENSOR_MASK.MASK_LOSS_WEIGHT", 2.0)
    positive_weight: float = _key("MODEL.TENSOR_MASK.POSITIVE_WEIGHT", 1.5)
    image_format: str = _key("INPUT.FORMAT", "BGR", choices=("BGR", "RGB"))
    min_size_test: int = _key("INPUT.MIN_SIZE_TEST", 800, within=(0, _SIDE[1]))
    max_size_test: int = _key("INPUT.MAX_SIZE_TEST", 1333, within=_SIDE)
    min_size_train: tuple[int, ...] = _training("INPUT.MIN_SIZE_TRAIN", (800,), int, within=_SIDE)
    max_size_train: int = _training("INPUT.MAX_SIZE_TRAIN", 1333, within=_SIDE)
    min_size_train_sampling: str = _training("INPUT.MIN_SIZE_TRAIN_SAMPLING", "choice", choices=("choice", "range"))
    random_flip: str = _training("INPUT.RANDOM_FLIP", "horizontal", choices=("horizontal", "none"))
    mask_format: str = _training("INPUT.MASK_FORMAT", "polygon", choices=("polygon", "bitmask"))
    detections_per_image: int = _key("TEST.DETECTIONS_PER_IMAGE", 100, within=_COUNT)
    datasets_train: tuple[str, ...] = _key("DATASETS.TRAIN", (), str)
    aspect_ratio_grouping: bool = _key("DATALOADER.ASPECT_RATIO_GROUPING", True)
    filter_empty: bool = _key("DATALOADER.FILTER_EMPTY_ANNOTATIONS", True)
    num_workers: int = _training("DATALOADER.NUM_WORKERS", 4, within=(0, 1024))
    ims_per_batch: int = _training("SOLVER.IMS_PER_BATCH", 16, within=_COUNT)
    base_lr: float = _key("SOLVER.BASE_LR", 0.001)
    momentum: float = _key("SOLVER.MOMENTUM", 0.9)
    nesterov: bool = _key("SOLVER.NESTEROV", False)
    weight_decay: float = _key("SOLVER.WEIGHT_DECAY", 0.0001)
    weight_decay_norm: float = _key("SOLVER.WEIGHT_DECAY_NORM", 0.0)
    weight_decay_bias: float | None = _key("SOLVER.WEIGHT_DECAY_BIAS", None, float)
    bias_lr_factor: float = _key("SOLVER.BIAS_LR_FACTOR", 1.0)
    lr_gamma: float = _key("SOLVER.GAMMA", 0.1)
    lr_steps: tuple[int, ...] = _key("SOLVER.STEPS", (30000,), int)
    max_iter: int = _training("SOLVER.MAX_ITER", 40000, within=_ITERATIONS)
    warmup_factor: float = _key("SOLVER.WARMUP_FACTOR", 0.001)
    warmup_iters: int = _training("SOLVER.WARMUP_ITERS", 1000, within=_ITERATIONS)
    warmup_method: str = _training("SOLVER.WARMUP_METHOD", "linear", choices=("linear", "constant"))
    checkpoint_period: int = _training("SOLVER.CHECKPOINT_PERIOD", 5000, within=(1, _ITERATIONS[1]))
    amp: bool = _key("SOLVER.AMP.ENABLED", False)
    seed: int = _key("SEED", -1)
    output_dir: str = _key("OUTPUT_DIR", "./output")

    @classmethod
    def from_file(cls, path: str | Path, overrides: Sequence[str] = (), *, training: bool = False) -> Config:
        """Reads a config file of detectron2; see `config_file.read`. Keys without effect here are ignored.

        Args:
            path: the file.
            overrides: KEY VALUE KEY VALUE ..., over those of the file; the keys are known here or stand in the file.
            training: True to refuse settings unsupported in training, too.

        Raises:
            ConfigError: it cannot be read, a value is of the wrong type or range, or it asks for what this library
                does not have. All problems are in one error.
        """
        known = [item.metadata["key"] for item in dataclasses.fields(cls)]
        known += [key for key, _, _ in _FIXED + _FIXED_IN_TRAINING]
        values = config_file.read(Path(path), overrides, known)
        problems = [f"{key}: {shown(found)}; expected {' or '.join(map(repr, allowed))}"
                    for key, allowed, default in _FIXED + (_FIXED_IN_TRAINING if training else ())
                    if as_tuples(found := lookup(values, key, default)) not in allowed]  # fmt: skip
        fields: dict[str, Any] = {}
        for item in dataclasses.fields(cls):
            found = lookup(values, item.metadata["key"], MISSING)
            if found is not MISSING:
                fields[item.name], problem = typed(found, item.default, item.metadata["of"])
                problems += [f"{item.metadata['key']}: {problem}"] if problem else []
        if not problems:
            config = cls(**fields)
            problems = list(config.problems(training=training))
        if problems:
            raise ConfigError(str(path), problems)
        return config

    def as_nested(self) -> dict[str, Any]:
        """The values as a config file has them, complete: sections and keys, lists for tuples."""
        pairs = [(key, allowed[0]) for key, allowed, _ in _FIXED + _FIXED_IN_TRAINING]
        pairs += [(item.metadata["key"], getattr(self, item.name)) for item in dataclasses.fields(self)]
        result: dict[str, Any] = {"VERSION": config_file.NEWEST_VERSION}
        for key, value in pairs:
            *sections, last = key.split(".")
            place = result
            for section in sections:
                place = place.setdefault(section, {})
            place[last] = as_lists(value)
        return result

    def problems(self, *, training: bool) -> Iterator[str]:
        """Problems of the values, each with its key; of those for training only on request."""
        for item in dataclasses.fields(self):
            value, rules = getattr(self, item.name), item.metadata
            if rules["training"] and not training:
                continue
            if rules["choices"] and value not in rules["choices"]:
                yield f"{rules['key']}: {shown(value)}; expected one of {rules['choices']}"
            if rules["within"] and (problem := bounds_problem(value, *rules["within"])):
                yield f"{rules['key']}: {problem}"
        yield from self._anchor_problems()
        if self.fpn_norm == "GN" and self.fpn_out_channels % GROUPS:
            yield f"FPN.NORM: GN has {GROUPS} groups; expected OUT_CHANNELS to be a multiple of that"
        if self.bipyramid_on and not self.aligned_on:
            yield "BIPYRAMID_ON: needs ALIGNED_ON"
        if training and not self.min_size_train:
            yield "MIN_SIZE_TRAIN: expected at least 1 size"
        if len(self.pixel_mean) != 3 or len(self.pixel_std) != 3 or 0 in self.pixel_std:
            yield "PIXEL_MEAN, PIXEL_STD: expected three numbers each, and no deviation of 0"
        if len(self.bbox_reg_weights) != 4 or min(self.bbox_reg_weights, default=0) <= 0:
            yield "BBOX_REG_WEIGHTS: expected four positive numbers"

    def _anchor_problems(self) -> Iterator[str]:
        if self.in_features not in (_PYRAMID[:n] for n in range(1, 7)):
            yield f"IN_FEATURES: {shown(self.in_features)}; expected p2, p3, ... without gaps"
        elif len(self.anchor_sizes) != len(self.in_features):
            yield f"ANCHOR_GENERATOR.SIZES: {len(self.anchor_sizes)} levels; expected {len(self.in_features)}"
        counts = {len(sizes) for sizes in self.anchor_sizes}
        if len(counts) != 1 or not 1 <= max(counts) <= _MOST_SIZES:
            yield f"ANCHOR_GENERATOR.SIZES: expected the same number of sizes on every level, 1 to {_MOST_SIZES}"
        elif not bounds_problem(self.anchor_sizes, *_ANCHOR_SIDE) and len(set(self.mask_sizes)) < max(counts):
            yield "ANCHOR_GENERATOR.SIZES: expected sizes of the first level 4 pixels apart"

    @property
    def mask_sizes(self) -> tuple[int, ...]:
        """V of each anchor of a location, the side of its window in pixels of stride 4."""
        return tuple(int(size) // 4 for size in self.anchor_sizes[0]) if self.anchor_sizes else ()
