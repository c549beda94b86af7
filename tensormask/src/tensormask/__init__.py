"""TensorMask (Chen et al., ICCV 2019): dense instance segmentation with 4D tensors, in plain PyTorch.

`from tensormask import TensorMask`; `TensorMask.from_files(config, checkpoint).predict([image])`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensormask.model import TensorMask

__all__ = ["TensorMask"]


def __getattr__(name: str) -> object:
    """The class, once it is asked for: the package alone does not load torch."""
    if name == "TensorMask":
        from tensormask.model import TensorMask

        return TensorMask
    raise AttributeError(f"module 'tensormask' has no attribute {name!r}")
