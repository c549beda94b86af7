"""Ours beside the original. Its package has our library's name, so it needs an environment of its own (see the README).

ORIGINAL_TENSORMASK_PYTHON is the Python of that environment. The original runs on CUDA only.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

PYTHON = os.environ.get("ORIGINAL_TENSORMASK_PYTHON")


@pytest.mark.skipif(
    PYTHON is None, reason="set ORIGINAL_TENSORMASK_PYTHON to a Python with detectron2 and its TensorMask project"
)
def test_beside_the_original(original, tmp_path):
    model = original.model()
    torch.save({"model": model.net.state_dict()}, tmp_path / "model.pth")
    script, image = (
        Path(__file__).parents[2] / "support" / "original_tensormask_predict.py",
        original.folder / "big.png",
    )
    command = [PYTHON, script, original.config, tmp_path / "model.pth", image, tmp_path / "answer.npz"]
    subprocess.run(command, check=True, cwd=tmp_path)
    theirs = np.load(tmp_path / "answer.npz")
    (ours,) = model.predict([original.image("big")])
    assert len(theirs["scores"]) == len(ours.scores)
    np.testing.assert_allclose(theirs["scores"], ours.scores, atol=1e-4)
    assert (theirs["masks"].sum(0) != ours.masks.sum(0)).mean() < 1e-3
