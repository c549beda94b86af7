"""A detector of MMDetection from its config and checkpoint, ready to predict."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import Compose
from mmdet.evaluation import get_classes
from mmdet.registry import MODELS
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from mmengine.model.utils import revert_sync_batchnorm
from mmengine.registry import init_default_scope

from maskworks.errors import CheckpointError, ConfigError
from maskworks.types import Bytes
from maskworks_mmdet import class_names
from maskworks_mmdet.checkpoints import apply_weights, guarded, read_checkpoint
from maskworks_mmdet.configs import read_config, without_prompts
from maskworks_mmdet.heads import class_counts, things
from maskworks_mmdet.kinds import check_kind, use_packages
from maskworks_mmdet.options import MmdetConfig
from maskworks_mmdet.repairs import parts, repair, without_training

log = logging.getLogger("maskworks.mmdet")

Prepare = Callable[[Bytes], Mapping[str, Any]]
# Errors of MMDetection for settings that do not fit together, and for missing files.
_CONFIG_ERRORS = (
    LookupError, TypeError, ValueError, AttributeError, AssertionError, ImportError, RuntimeError, OSError,
    EOFError,
)  # fmt: skip


@dataclass(frozen=True)
class Detector:
    """The settings of predictions.

    Attributes:
        model: in evaluation mode, on the CPU.
        prepare: from an image, (H, W, 3) uint8 RGB, to `inputs` and `data_samples` of one image.
        classes: the name of each class.
        gives_probabilities: its masks are probabilities.
    """

    model: Any
    prepare: Prepare
    classes: tuple[str, ...]
    gives_probabilities: bool = False

    def name_of(self, label: int) -> str:
        """The name of the class with this number, also of one that the model should not know."""
        return self.classes[label] if 0 <= label < len(self.classes) else f"class {label}"


def load_detector(config: MmdetConfig) -> Detector:
    """Builds the model and gives it its weights.

    Raises:
        ConfigError: the number of class names is not that of the model.
        CheckpointError: the config or the checkpoint cannot be used, or they do not fit.
        UnsafeCheckpoint: loading the checkpoint, or one that the config names, would run code from it.
    """
    settings = read_config(config.config, imports=False)
    check_kind(settings, config.config)
    use_packages(settings, config.config)
    model, prepare = _build(settings, config.config, config.unsafe_load)
    checkpoint = read_checkpoint(config.checkpoint, unsafe=config.unsafe_load)
    left_out = settings.model.keys() - without_training(settings.model).keys()
    unused = [
        name for name in apply_weights(model, checkpoint, config.checkpoint) if name.partition(".")[0] not in left_out
    ]
    if unused:
        log.warning(
            "%s: the model has no place for %d weights, the first is %s", config.checkpoint, len(unused), unused[0]
        )
    names = _names(settings, checkpoint.classes)
    check_names(names, settings)
    model.eval()  # on a line of its own, because models with a teacher do not return themselves
    soft = any((part.get("mask_thr_binary") or 0) < 0 for part in parts(settings.model.get("test_cfg")))
    return Detector(model, prepare, names, gives_probabilities=soft)


def image_pipeline(settings: Config) -> Prepare:
    """The test pipeline of a config, from RGB images in memory instead of files.

    MMDetection reads files as BGR, and it is the model's `data_preprocessor` that swaps the channels if it wants RGB
    (`bgr_to_rgb`). So what it gets from here is BGR.
    """
    steps = without_prompts(get_test_pipeline_cfg(settings.copy()))
    reader = steps[0]
    grey = str(reader.get("color_type", "color")).startswith("grayscale")
    steps[0] = {"type": "mmdet.LoadImageFromNDArray", "to_float32": reader.get("to_float32", False)}
    compose = Compose(steps)
    conversion = cv2.COLOR_RGB2GRAY if grey else cv2.COLOR_RGB2BGR

    def prepare(image: Bytes) -> Mapping[str, Any]:
        prepared = compose({"img": np.asarray(cv2.cvtColor(image, conversion)), "img_id": 0})
        if not isinstance(prepared, dict) or "inputs" not in prepared:
            raise ValueError("the test pipeline of --config does not end in PackDetInputs")
        return prepared

    return prepare


def check_names(names: tuple[str, ...], settings: Config) -> None:
    """Sees that there is a name for each class of the model.

    Raises:
        ConfigError: there is not.
    """
    wrong = {path: count for path, count in class_counts(settings.model).items() if count != len(names)}
    if wrong:
        path, count = next(iter(wrong.items()))
        raise ConfigError(
            [
                f"{len(names)} class names ({', '.join(names[:8])}{', ...' if len(names) > 8 else ''}), but {path} in "
                f"the config is {count}; set {class_names.VARIABLE} to as many names"
            ]
        )


def _build(settings: Config, path: Path, unsafe: bool) -> tuple[Any, Prepare]:
    """The model without its weights, and the test pipeline."""
    init_default_scope(settings.get("default_scope", "mmdet"))
    repair(settings, alone=True)
    try:
        with warnings.catch_warnings(), guarded(f"--config {path}: a checkpoint that it names", unsafe=unsafe):
            warnings.simplefilter("ignore")  # about arguments of layers that are deprecated
            model = MODELS.build(without_training(settings.model))
            return revert_sync_batchnorm(model), image_pipeline(settings)
    except _CONFIG_ERRORS as error:
        reason = str(error).strip().partition("\n")[0]
        raise CheckpointError(f"--config {path}: the model cannot be built: {reason}") from None


def _names(settings: Config, trained: tuple[str, ...] | None) -> tuple[str, ...]:
    """The class names of a model, `trained` being those in its checkpoint."""
    own = class_names.from_environment()
    if settings.model.type == "RPN" and own is None:
        return ("object",)  # whatever its data were called
    return things(own or trained or _coco(settings), settings.model)


def _coco(settings: Config) -> tuple[str, ...]:
    """COCO's class names for a checkpoint that has none, as MMDetection has it."""
    names = tuple(get_classes("coco"))
    if set(class_counts(settings.model).values()) - {len(names)}:
        raise ConfigError([f"the checkpoint has no class names; set {class_names.VARIABLE}, for example 'cat','dog'"])
    log.warning("the checkpoint has no class names; taking those of COCO")
    return names
