"""MMDetection is installed apart from the rest, because its operators have to be compiled."""

from __future__ import annotations

import contextlib
import io
import warnings
from importlib import import_module
from importlib.util import find_spec

from maskworks.errors import CheckpointError

PACKAGES = ("mmcv", "mmengine", "mmdet")


def missing() -> list[str]:
    """The packages of MMDetection that are not installed here."""
    return [name for name in PACKAGES if find_spec(name) is None]


def import_mmdet() -> None:
    """Imports MMDetection without what it and torch say about parts that nobody asked for.

    Raises:
        CheckpointError: it is not installed, or without its operators, or they do not fit to this torch.
    """
    absent = missing()
    if absent:
        raise CheckpointError(f"MMDetection is not installed here ({', '.join(absent)} missing); run: make mmdetection")
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name in ("mmcv.ops", "mmdet.apis", "mmdet.models"):
                import_module(name)
    except ImportError as error:
        raise CheckpointError(f"MMDetection cannot be used here: {error}; run: make mmdetection") from None
