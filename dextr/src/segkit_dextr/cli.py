"""Entry points of the DEXTR commands."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from segkit import cli
from segkit_dextr.options import DextrConfig, add_options

if TYPE_CHECKING:
    from segkit.predictor import Predictor


def load(config: DextrConfig) -> Predictor:
    """Loads the model; only now torch is imported."""
    from segkit_dextr.adapter import DextrPredictor

    return DextrPredictor.load(config)


MODEL = cli.Model(
    name="dextr",
    title="DEXTR (Deep Extreme Cut)",
    prompt_suffix=".points",
    config=DextrConfig,
    add_options=add_options,
    load=load,
)


def predict_poll() -> None:
    """`dextr_predict_poll`."""
    sys.exit(cli.predict_poll(MODEL))
