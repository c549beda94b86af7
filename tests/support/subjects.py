"""The models of the fault matrix. A new model gets all of it by one more entry."""

from __future__ import annotations

import importlib.util
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.mmdet_model import write_model
from tests.support.subject import DEXTR, Subject

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model with a prompt that it takes.

    Attributes:
        make: makes its commands, and its model file if there is none.
        prompt: for any image of 60x40 pixels or more; empty if it takes none.
        bad_prompts: with the codes of the errors that they have to be answered with.
        missing: why it cannot be tested here; "" if it can.
    """

    make: Callable[[], Subject]
    prompt: Mapping[str, Any]
    bad_prompts: tuple[tuple[bytes, str], ...] = ()
    missing: str = ""


def _sam() -> Subject:
    return Subject(name="sam", flags=("--model", str(GOLDEN / "sam" / "small.safetensors")), suffix=".prompt")


def _tensormask() -> Subject:
    model, config = (str(GOLDEN / "tensormask" / name) for name in ("model.safetensors", "configs/tiny.yaml"))
    return Subject(
        name="tensormask",
        flags=("--model", model, "--config", config),
        suffix=None,
        server=("tensormask-server", "-tp", model, "-cp", config),
    )


def _mmdet() -> Subject:
    checkpoint, config = write_model(Path(tempfile.mkdtemp()))
    flags = ("--checkpoint", str(checkpoint), "--config", str(config), "--score", "0.9")
    return Subject(name="mmdet", flags=flags, suffix=None, folder_command="predict")


_POINTS = {"points": [[30, 8], [12, 20], [48, 20], [30, 32]]}
_BAD_PROMPTS = (
    (b'{"points": [[1, 2], [3, 4]]}', "bad_prompt"),
    (json.dumps({"points": [[1, 2], [3, "4"], [5, 6], [7, 8]]}).encode(), "bad_prompt"),
    (b'{"objects": []}', "bad_prompt"),
)
_MMDET = "" if importlib.util.find_spec("mmdet") else "MMDetection is not installed: make mmdetection"

CASES = {
    "dextr": Case(
        make=lambda: DEXTR, prompt=_POINTS,
        bad_prompts=(*_BAD_PROMPTS, (b'{"points": [{"x": 1, "y": 2, "label": 1}]}', "unsupported_prompt")),
    ),
    "sam": Case(
        make=_sam,
        prompt={"points": [{"x": 30, "y": 20, "label": 1}], "box": {"x0": 10, "y0": 5, "x1": 50, "y1": 35}},
        bad_prompts=_BAD_PROMPTS,
    ),
    "tensormask": Case(make=_tensormask, prompt={}),
    "mmdet": Case(make=cache(_mmdet), prompt={}, missing=_MMDET),
}  # fmt: skip
