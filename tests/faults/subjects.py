"""The models of the fault matrix. A new model gets all of it by one more entry."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soak.subject import DEXTR, Subject

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model with a prompt that it takes.

    Attributes:
        subject: its commands.
        prompt: for any image of 60x40 pixels or more; empty if it takes none.
        bad_prompts: with the codes of the errors that they have to be answered with.
        missing: why it cannot be tested here; "" if it can.
    """

    subject: Subject
    prompt: Mapping[str, Any]
    bad_prompts: tuple[tuple[bytes, str], ...] = ()
    missing: str = ""


def _tensormask() -> Subject:
    model, config = (str(GOLDEN / "tensormask" / name) for name in ("model.safetensors", "configs/tiny.yaml"))
    return Subject(
        name="tensormask",
        flags=("--model", model, "--config", config),
        suffix=None,
        server=("tensormask-server", "-tp", model, "-cp", config),
    )


def _mmdet() -> Subject:
    folder = GOLDEN / "mmdet"
    flags = ("--checkpoint", str(folder / "tiny.pth"), "--config", str(folder / "tiny.py"))
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
        subject=DEXTR, prompt=_POINTS,
        bad_prompts=(*_BAD_PROMPTS, (b'{"points": [{"x": 1, "y": 2, "label": 1}]}', "unsupported_prompt")),
    ),
    "sam": Case(
        subject=Subject(name="sam", flags=("--model", str(GOLDEN / "sam" / "small.safetensors")), suffix=".prompt"),
        prompt={"points": [{"x": 30, "y": 20, "label": 1}], "box": {"x0": 10, "y0": 5, "x1": 50, "y1": 35}},
        bad_prompts=_BAD_PROMPTS,
    ),
    "tensormask": Case(subject=_tensormask(), prompt={}),
    "mmdet": Case(subject=_mmdet(), prompt={}, missing=_MMDET),
}  # fmt: skip
