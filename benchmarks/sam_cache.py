"""More prompts on an image whose embedding is known: ViT-B on the CPU, in float32.

In the first two rows the peer is ourselves: the first prompt on an image, beside the second one on it; encoding an
image, beside encoding it and answering ten prompts. In the others it is the package's `SamPredictor` after
`set_image`. All times go from the request to masks in the size of the image.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import Row, alternate_timed
from benchmarks.sam_side import OBJECTS, Side, save_model

ROUNDS = 3


def run() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_model(folder)
        peer, ours = Side("peer", folder), Side("fp32", folder)
        ours("first")
        times = [[ours(task) for task in ("first", "second", "encode", "encode and ten")] for _ in range(ROUNDS)]
        first, second, encode, with_ten = (statistics.median(column) for column in zip(*times, strict=True))
        yield Row("first prompt, second prompt", first, second, note=f"the second costs {second / first:.1%}")
        yield Row("encode, encode and ten prompts", encode, with_ten, note=f"{with_ten / encode:.2f} encodes")
        peer("encode")
        yield Row("one more prompt", *alternate_timed(lambda: peer("second"), lambda: ours("second")))
        yield Row(f"{OBJECTS} more prompts", *alternate_timed(lambda: peer("ten"), lambda: ours("ten")))
        peer.close()
        ours.close()
