"""The model and its training, under the name that the original's package has for them."""

from dextr.dextr_model import DextrModel
from dextr.train.training_loop import training_loop

__all__ = ["DextrModel", "training_loop"]
