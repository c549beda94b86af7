"""MMDetection's part of `maskworks doctor`."""

from __future__ import annotations

from collections.abc import Iterator

from maskworks.commands.doctor.finding import Finding
from maskworks_mmdet.installation import import_mmdet, missing
from maskworks_torch.device import select_device, select_precision


def checkup(device: str, precision: str) -> Iterator[Finding]:
    """The compiled operators, and a small model with weights that follow from a formula.

    `auto` means fp32 here, as it does for the commands.
    """
    if missing():
        text = "the package is here, MMDetection itself is not; to use it, run: make mmdetection"
        yield Finding("mmdet", "note", text)
        return
    import_mmdet()

    from maskworks_mmdet.operator_trials import operator_findings
    from maskworks_mmdet.small_model import model_finding

    chosen = select_device(device)
    yield from operator_findings(chosen)
    yield model_finding(chosen, select_precision("fp32" if precision == "auto" else precision, chosen))
