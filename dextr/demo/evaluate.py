"""Measures a model on the real objects of the demo photos, beside GrabCut started from the same points.

    python dextr/demo/evaluate.py dextr/src/maskworks_dextr/demo/demo.safetensors

Prints a Markdown table of intersection over union.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from grabcut import grab_cut
from real_objects import Mask, RealObject, iou, real_objects

from dextr.model import DextrModel

GRABCUT_MARGIN = 0.3
THRESHOLD = 0.5

Segmenter = Callable[[RealObject], Mask]


def segmenters(model: DextrModel) -> dict[str, Segmenter]:
    """The model and two ways to start GrabCut, by the name of their column."""
    return {
        "demo model": lambda o: model.predict([o.image], [o.points])[0] >= THRESHOLD,
        "GrabCut, box": lambda o: grab_cut(o.image, o.points, GRABCUT_MARGIN),
        "GrabCut, box and points": lambda o: grab_cut(o.image, o.points, GRABCUT_MARGIN, mark_points=True),
    }


def jittered(objects: Sequence[RealObject], share: float, seed: int = 0) -> list[RealObject]:
    """The objects with each point moved by a normal error whose deviation is a share of the object's box diagonal."""
    rng = np.random.default_rng(seed)
    moved = []
    for o in objects:
        deviation = share * float(np.hypot(*(o.points.max(axis=0) - o.points.min(axis=0))))
        points = np.clip(o.points + rng.normal(0, deviation, o.points.shape), 0, np.array(o.mask.shape) - 1)
        moved.append(RealObject(o.photo, o.name, o.image, points, o.mask))
    return moved


def is_coin(o: RealObject) -> bool:
    return o.photo == "coins.jpg"


def table(objects: Sequence[RealObject], columns: dict[str, Segmenter]) -> str:
    """A row for each object, and the means of the coins, of the other objects, and of all."""
    scores = {o: [iou(segment(o), o.mask) for segment in columns.values()] for o in objects}
    groups = {
        "mean of the coins": [o for o in objects if is_coin(o)],
        "mean of the others": [o for o in objects if not is_coin(o)],
        "**mean of all**": list(objects),
    }
    rows = [(f"{o.photo}: {o.name}", scores[o]) for o in objects]
    rows += [(name, np.mean([scores[o] for o in group], axis=0).tolist()) for name, group in groups.items()]
    lines = [f"| object | {' | '.join(columns)} |", "|---" + "|---:" * len(columns) + "|"]
    lines += [f"| {name} | {' | '.join(f'{value:.3f}' for value in values)} |" for name, values in rows]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a model file")
    parser.add_argument("--jitter", type=float, default=0.0, help="error of the points, in diagonals of the box")
    args = parser.parse_args()
    objects = real_objects()
    if args.jitter:
        objects = jittered(objects, args.jitter)
    sys.stdout.write(table(objects, segmenters(DextrModel.from_file(args.model))) + "\n")


if __name__ == "__main__":
    main()
