"""What other programs call the keys of prompts, and slips of the pen."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

MASK_CHOICES = ("auto", "best", "single", "largest", "smallest", "first", "all")

_POINTS = '"points", as {"points": [{"x": 1, "y": 2, "label": 1}]} for clicks or [[x, y], ...] for extreme points'
_LABELS = 'a "label" in each click, as {"points": [{"x": 1, "y": 2, "label": 1}]}'
_BOX = '"box", as {"box": {"x0": 1, "y0": 2, "x1": 3, "y1": 4}}'
_OBJECTS = '"objects", a list of prompts'
_MASK = '"mask_input", the low_res_logits of an earlier answer'
_CHOICE = f'"mask_choice", which is one of {", ".join(MASK_CHOICES)}'
_LOGITS = '"low_res_logits", true or false'

PLACES = {
    _POINTS: (
        "point", "point_coords", "coords", "coordinates", "pts", "click", "clicks", "input_point", "input_points",
        "pos_points", "neg_points", "positive_points", "negative_points", "pos_clicks", "neg_clicks", "positive_clicks",
        "negative_clicks", "fg_points", "bg_points", "foreground", "background", "extreme_points", "extremes", "marks",
        "keypoints",
    ),
    _LABELS: ("point_labels", "labels", "input_labels", "point_label", "click_labels"),
    _BOX: (
        "bbox", "bboxes", "boxes", "bounding_box", "bounding_boxes", "rect", "rectangle", "roi", "xyxy", "xywh",
        "obj_bbox", "input_box", "input_boxes",
    ),
    _OBJECTS: ("object", "prompts"),
    _MASK: (
        "mask", "masks", "mask_prompt", "mask_logits", "input_mask", "input_masks", "mask_inputs", "low_res_mask",
        "low_res_masks",
    ),
}  # fmt: skip
SWITCHES = {
    _CHOICE: ("multimask", "multimask_output", "mask_choices"),
    _LOGITS: ("return_logits", "low_res_logit"),
}
_DEEPER = {'the keys of the prompt themselves, one level higher, or "prompt" beside the image': ("prompt",)}
_MEANT = {name.replace("_", ""): meant for meant, names in (PLACES | SWITCHES | _DEEPER).items() for name in names}
_FOR_TYPOS: Mapping[str, str] = {
    "points": _POINTS, "box": _BOX, "objects": _OBJECTS, "maskinput": _MASK, "maskchoice": _CHOICE,
    "lowreslogits": _LOGITS,
}  # fmt: skip
_ALIKE = 0.85  # of 1, so that one letter too many, too few or exchanged is found
_LONGEST_TYPO = 20
LONGEST_WORDS = 1000  # characters of a text that people may have written; logits are longer
_BETWEEN_WORDS = re.compile(r"[\s_.-]+")


def meaning(key: str, value: Any, *, typos: bool = True) -> str:
    """What is meant by a key that is none of ours; "" if it says nothing about a prompt.

    A value that is no prompt tells that the key is about another thing, as in `"object": "cup"`.

    Args:
        key, value: as they stand in the prompt.
        typos: whether slips of the pen are looked for, which takes a tenth of a millisecond.
    """
    short = _BETWEEN_WORDS.sub("", key[: 2 * _LONGEST_TYPO]).lower()
    meant = _MEANT.get(short, "") or (_of_a_typo(short) if typos else "")
    return meant if meant and _fits(value, meant) else ""


def _of_a_typo(short: str) -> str:
    if len(short) > _LONGEST_TYPO:
        return ""
    close = difflib.get_close_matches(short, _FOR_TYPOS, 1, _ALIKE)
    return _FOR_TYPOS[close[0]] if close else ""


def _fits(value: Any, meant: str) -> bool:
    """Whether a value could be meant so."""
    if meant in SWITCHES:
        return value is not None
    if isinstance(value, list):
        return bool(value) and not isinstance(value[0], str)
    if isinstance(value, dict):
        return bool(value)
    return meant == _MASK and isinstance(value, str) and len(value) > LONGEST_WORDS
