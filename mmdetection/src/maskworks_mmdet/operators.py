"""Operators of mmcv that a device lacks: how mmcv says so, and how we do."""

from __future__ import annotations

import re

# "carafe_forward_impl: implementation for device cpu not found."
MISSING = re.compile(r"(\w+?)(?:_impl)?: implementation for device (\w+)")


def missing_operator(name: str, device: str) -> str:
    """The message about an operator of mmcv that the device lacks."""
    return (
        f"the operator {name} of mmcv does not run on {device.lower()} here; use a GPU and operators that are "
        "built for it, or a model without this operator"
    )
