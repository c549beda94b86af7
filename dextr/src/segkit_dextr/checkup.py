"""DEXTR's part of `segkit doctor`."""

from __future__ import annotations

from collections.abc import Iterator

from dextr.download import cache_folder
from segkit.doctor.finding import Finding
from segkit.doctor.known_image import EXTREME_POINTS, known_image
from segkit.doctor.trial import trial
from segkit.types import Prompt, Request
from segkit_dextr.adapter import DextrPredictor
from segkit_dextr.options import DextrConfig


def checkup(device: str, precision: str) -> Iterator[Finding]:
    """The demo model on a known image; whether the Pascal VOC model is there."""
    image, mask = known_image()
    here, plain = (
        DextrPredictor.load(DextrConfig(model="demo", device=name, precision=kind))
        for name, kind in ((device, precision), ("cpu", "fp32"))
    )
    request = Request("known", image, (Prompt(extreme_points=EXTREME_POINTS),))
    yield trial("dextr", request, here, plain, least=0.98, drawn=mask)
    files = sorted(file.name for file in cache_folder().glob("*.pth"))
    text = f"in the cache: {', '.join(files)}" if files else "none in the cache; without --model they are downloaded"
    yield Finding("dextr weights", "ok" if files else "note", text)
