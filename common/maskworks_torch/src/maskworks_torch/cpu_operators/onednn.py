"""Whether oneDNN's operators can be called.

They are those that PyTorch's own compiler calls on CPUs. They need no compiler themselves.
"""

from __future__ import annotations

import torch


def supports(dtype: torch.dtype, operator: str) -> bool:
    """Whether this PyTorch has the operator, and this CPU the instructions for the type.

    Args:
        dtype: of the tensors.
        operator: its name in `torch.ops.mkldnn`.
    """
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not available or not hasattr(torch.ops.mkldnn, operator):
        return False
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if dtype == torch.float16:
        return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())
    return dtype == torch.float32
