"""Checkpoints of MMDetection, of all ages, read without running code from them."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from numpy import dtypes
from torch import Tensor, nn

from maskworks.errors import CheckpointError
from maskworks_torch.checkpoints import READER_ERRORS, load_content, load_torch, reader_error
from maskworks_torch.numpy_stand_ins import STAND_INS

# Prefixes of parameters' names from training, compiling or exponential averaging.
_WRAPPERS = ("module.", "_orig_mod.")


@dataclass(frozen=True)
class Checkpoint:
    """The parts of a checkpoint that are used.

    Attributes:
        weights: tensors by the name that they have in the model.
        classes: the class names it was trained on, None if it does not say.
    """

    weights: Mapping[str, Tensor]
    classes: tuple[str, ...] | None


class _Ignored:
    """Stands in for the parts of a training's log."""

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, _: object) -> None:
        pass


def allowed_globals() -> list[tuple[Any, str]]:
    """Names in files of MMEngine besides tensors. They belong to the log of the training, which is not used."""
    names = [
        *(f"numpy.dtypes.{name}" for name in dtypes.__all__), "mmengine.logging.history_buffer.HistoryBuffer",
        "builtins.getattr",
    ]  # fmt: skip
    stand_ins = [(stand_in, name) for name, stand_in in STAND_INS.items()]
    return [*stand_ins, *((_Ignored, name) for name in names), (slice, "builtins.slice")]


@contextmanager
def guarded(what: str, *, unsafe: bool) -> Iterator[None]:
    """Keeps MMEngine from running code from the checkpoints that it loads; some models load one as they are built.

    Args:
        what: its subject, for the message.
        unsafe: allow it to run code.

    Raises:
        CheckpointError: one is broken, or cannot be downloaded.
        UnsafeCheckpoint: one can only be loaded by running code from it.
    """
    from mmengine.runner import checkpoint as mmengine

    from maskworks_mmdet.downloads import load_url_with
    from maskworks_mmdet.training_log import known_names

    def load(file: Any, map_location: Any = None, **_: Any) -> Any:
        try:
            return load_torch(file, map_location=map_location, unsafe=unsafe)
        except READER_ERRORS as error:
            raise reader_error(f"{what}: {file}" if isinstance(file, str) else what, error) from None

    # MMEngine's own allows a file to call `getattr`, and runs code of a file that cannot be loaded otherwise.
    before, mmengine._safe_torch_load = mmengine._safe_torch_load, load
    before_url, mmengine.load_url = mmengine.load_url, load_url_with(load)
    try:
        # Some models load files in ways of their own; this forbids it there, too, over any setting outside.
        with (
            _environment(TORCH_FORCE_WEIGHTS_ONLY_LOAD="0" if unsafe else "1", TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD="0"),
            torch.serialization.safe_globals(list(known_names())),
        ):
            yield
    except pickle.UnpicklingError as error:
        raise reader_error(what, error) from None
    finally:
        mmengine._safe_torch_load, mmengine.load_url = before, before_url


def read_checkpoint(path: Path, *, unsafe: bool = False) -> Checkpoint:
    """Weights and class names of a checkpoint; averaged weights (EMA), where there are some.

    Raises:
        CheckpointError: missing, broken, or without weights.
        UnsafeCheckpoint: it can only be loaded by running code from it.
    """
    content = load_content(path, unsafe=unsafe, allowed=allowed_globals())
    if not isinstance(content, dict):
        raise CheckpointError(f"--checkpoint {path}: holds no weights; expected a checkpoint of MMDetection")
    # MMEngine saves the averaged weights as `state_dict` and the others as `ema_state_dict`.
    states = [content.get(key) for key in ("state_dict", "model", "ema_state_dict")]
    state = next((state for state in states if isinstance(state, dict)), content)
    weights = _without_wrappers(state)
    if not weights:
        raise CheckpointError(f"--checkpoint {path}: holds no weights; expected a checkpoint of MMDetection")
    return Checkpoint(weights, _classes(content.get("meta")))


def apply_weights(model: nn.Module, checkpoint: Checkpoint, path: Path) -> list[str]:
    """Puts the weights into the model. Returns the names of those for which it has no place.

    Raises:
        CheckpointError: a parameter of the model has no weights, or some of another shape.
    """
    try:
        missing, unexpected = model.load_state_dict(checkpoint.weights, strict=False)
    except RuntimeError as error:
        reasons = [line.strip() for line in str(error).splitlines()[1:]]
        raise CheckpointError(
            f"--checkpoint {path}: does not fit --config: {reasons[0] if reasons else error}"
            f"{_more(len(reasons) - 1)}; give the config that it was trained with"
        ) from None
    learned = {name for name, _ in model.named_parameters()}
    lost = [name for name in missing if name in learned or name.endswith((".running_mean", ".running_var"))]
    if lost:
        raise CheckpointError(
            f"--checkpoint {path}: does not fit --config: no weights for {lost[0]}{_more(len(lost) - 1)}; "
            "give the config that it was trained with"
        )
    # Before MMEngine, the weights that were not averaged were kept in the model under such names.
    return [name for name in unexpected if not name.startswith("ema_")]


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _without_wrappers(state: dict[str, Any]) -> OrderedDict[str, Tensor]:
    weights: OrderedDict[str, Tensor] = OrderedDict()
    for key, value in state.items():
        name = str(key)
        while name.startswith(_WRAPPERS):
            name = name.partition(".")[2]
        if isinstance(value, Tensor):
            weights[name.replace("._orig_mod.", ".")] = value
    # Layers that changed over time look here for the version that they were saved with.
    metadata = getattr(state, "_metadata", None)
    if metadata is not None:
        weights._metadata = metadata  # type: ignore[attr-defined]
    return weights


def _classes(meta: Any) -> tuple[str, ...] | None:
    """Class names: in `dataset_meta` in MMDetection 3, `CLASSES` before, in lower or upper case."""
    if not isinstance(meta, dict):
        return None
    described = meta.get("dataset_meta")
    for source in (described if isinstance(described, dict) else {}, meta):
        for key, value in source.items():
            if str(key).lower() == "classes" and value is not None:
                return (value,) if isinstance(value, str) else tuple(map(str, value))
    return None


def _more(count: int) -> str:
    return f", and {count} more" if count > 0 else ""
