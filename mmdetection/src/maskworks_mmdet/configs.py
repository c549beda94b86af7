"""Configs of MMDetection: finding them, reading them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction

from maskworks.errors import CheckpointError, ConfigError
from maskworks_mmdet.kinds import use_packages

# Where the images have the stock configs; elsewhere such paths lead to those of the installed package.
IMAGE_FOLDER = Path("/mmdetection/configs")
STARTER = Path(__file__).parent / "starter"


def stock_configs() -> dict[str, Path]:
    """The configs that come with MMDetection and, in the folder `starter`, with this package; by name."""
    import mmdet

    stock = Path(mmdet.__file__).parent / ".mim" / "configs"
    names = {str(path.relative_to(stock)): path for path in sorted(stock.rglob("*.py"))}
    return {**names, **{f"{STARTER.name}/{path.name}": path for path in sorted(STARTER.glob("*.py"))}}


def find_config(path: Path) -> Path:
    """The file of that path, else the stock config of that name, e.g. `mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py`.

    Raises:
        ConfigError: there is neither, or several stock configs have that name.
    """
    if path.is_file():
        return path
    name = path.relative_to(IMAGE_FOLDER) if path.is_relative_to(IMAGE_FOLDER) else path
    known = stock_configs()
    found = [key for key in known if key == str(name) or key.endswith(f"/{name}")]
    if len(found) == 1:
        return known[found[0]]
    reason = f"stands for {', '.join(found)}" if found else "no such file"
    raise ConfigError([f"{path}: {reason}; expected a file, or a stock config, which mmdet_config --list shows"])


def read_config(path: Path, *, imports: bool = True) -> Config:
    """The config with all that it inherits. A config is a Python program: reading it runs it.

    Args:
        path: its file.
        imports: import the modules that it names, too, without which its model cannot be built.

    Raises:
        CheckpointError: it cannot be read, describes no model, or needs what is not installed.
    """
    try:
        config = Config.fromfile(path, import_custom_modules=False)
    except Exception as error:  # noqa: BLE001 (it is a program and may raise anything)
        reason = " ".join(str(error).split())
        raise CheckpointError(f"--config {path}: {type(error).__name__}: {reason}") from None
    if not config.get("model"):
        raise CheckpointError(f"--config {path}: describes no model; expected a config of MMDetection")
    if imports:
        use_packages(config, path)
    return config


def merge_options(config: Config, values: Sequence[str]) -> None:
    """Changes a config by `key=value` texts, e.g. `model.roi_head.bbox_head.num_classes=2`; lists are `[1,2]` or `1,2`.

    Raises:
        ConfigError: a text is not of that form, or its key does not fit into the config.
    """
    for text in values:
        key, equals, value = text.partition("=")
        try:
            if not equals or not key:
                raise ValueError("expected key=value")
            config.merge_from_dict({key: DictAction._parse_iterable(value)})
        except (AssertionError, KeyError, IndexError, TypeError, ValueError) as error:
            raise ConfigError([f"--cfg-options {text}: {error}"]) from None


def without_prompts(steps: Sequence[Any]) -> list[Any]:
    """A test pipeline without the steps that read annotations, which images to predict do not have."""
    return [step for step in steps if not re.search(r"Load\w*Annotations", str(step["type"]))]
