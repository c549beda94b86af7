"""The image encoder of Segment Anything, ViT-B on the CPU: `set_image` of the package's `SamPredictor`, and ours.

Both from the photo to its embedding, resizing included. The weights are random, scaled so that the logits of masks
spread like those of a trained model. Agreement is the mean IoU of ten masks at low resolution; the note says how many
of their pixels differ whose logit is further from 0 than 1e-3, and the peak memory of both processes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.harness import Row, alternate_timed
from benchmarks.sam_side import Side, save_model
from maskworks_torch.device import select_precision
from tests.support.iou import iou


def run() -> Iterator[Row]:
    precisions = sorted({"fp32", select_precision("auto", "cpu")}, reverse=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_model(folder)
        peer = Side("peer", folder)
        for precision in precisions:
            ours = Side(precision, folder)
            times = alternate_timed(lambda: peer("encode"), lambda: ours("encode"), rounds=3)  # noqa: B023
            peer_gb, ours_gb = peer.peak_gb, ours.peak_gb
            peer("ten")
            ours("logits")
            expected, found = peer.logits(), ours.logits()
            agreement = np.mean([iou(a > 0, b > 0) for a, b in zip(expected, found, strict=True)])
            wrong = int((((expected > 0) != (found > 0)) & (np.abs(expected) > 1e-3)).sum())
            note = (
                f"{wrong} of {expected.size} pixels differ; peak memory: peer {peer_gb:.1f} GB, ours {ours_gb:.1f} GB"
            )
            yield Row(f"set_image, ours in {precision}", *times, f"{agreement:.5f}", note)
            ours.close()
        peer.close()
