"""A whole prediction of DEXTR on the CPU: ResUNet-101 at 512x512, an object of 1000x800 pixels in one of 2000x1500.

The peer is the net as it is, in float32, with the original's way before and after it (`original_dextr`). Ours is the
predictor of the commands. Each side has a process of its own, because ours sets how the process keeps its memory; they
run in turns. The weights are random, with the statistics of the batch normalisation and the last bias set on the image
itself, so that half of the logits are positive. Agreement is the IoU of the masks.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks import original_dextr
from benchmarks.dextr_parts import IMAGE_HW, PADDING, POINTS_YX, SIGMA, SIZE, photo
from benchmarks.harness import Row, alternate_timed
from dextr.architectures import build
from dextr.model import DextrModel
from maskworks.freed_memory import keep_freed_memory
from maskworks.geometry import compose
from maskworks.types import Prompt, Request
from maskworks_dextr.adapter import DextrPredictor
from maskworks_dextr.options import DextrConfig
from maskworks_torch.device import select_precision
from tests.support.iou import iou


def run() -> Iterator[Row]:
    precisions = sorted({"fp32", select_precision("auto", "cpu")}, reverse=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        calibrated_model().save(folder / "model.safetensors")
        peer = Side(folder, "peer")
        for precision in precisions:
            ours = Side(folder, precision)
            times = alternate_timed(peer.predict, ours.predict, rounds=7)
            agreement = iou(peer.mask(), ours.mask())
            note = f"outside of the net: peer {peer.share_outside:.1%}, ours {ours.share_outside:.1%} of the time"
            yield Row(f"prediction, ours in {precision}", *times, f"{agreement:.5f}", note)
            ours.close()
        peer.close()


class Side:
    """A process that predicts when it is told to.

    Args:
        folder: holds the model; the mask is written there.
        name: `peer`, or the precision of ours.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._mask_file = folder / f"{name}.npy"
        command = [sys.executable, "-m", "benchmarks.dextr_predict", name, str(folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.share_outside = 0.0

    def predict(self) -> float:
        """One prediction; the seconds it took in the other process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print("go", file=self._process.stdin, flush=True)
        answer = json.loads(self._process.stdout.readline())
        self.share_outside = answer["outside_s"] / answer["s"]
        return float(answer["s"])

    def mask(self) -> np.ndarray:
        """The mask of the last prediction, (H, W) uint8."""
        return np.load(self._mask_file)

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def calibrated_model() -> DextrModel:
    """ResUNet-101 whose random weights give masks that are neither empty nor full."""
    torch.manual_seed(0)
    net = build("resunet101")
    norms = [module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the plain average
        norm.reset_running_stats()
    crop = original_dextr.crop_box(POINTS_YX, SIZE, PADDING)
    values = original_dextr.network_input(Image.fromarray(photo()), POINTS_YX, crop, SIZE, SIGMA)
    with torch.no_grad():
        net.train()(values)
        last = [module for module in net.modules() if isinstance(module, torch.nn.Conv2d)][-1]
        assert last.bias is not None
        last.bias -= net.eval()(values)["out"].median()
    for norm in norms:
        norm.momentum = 0.1
    return DextrModel(net, (SIZE, SIZE), PADDING, SIGMA)


def peer_side(model: DextrModel) -> Callable[[], np.ndarray]:
    """The original's prediction: (H, W) uint8 of 0 and 1."""
    image = Image.fromarray(photo())

    def predict() -> np.ndarray:
        crop = original_dextr.crop_box(POINTS_YX, SIZE, PADDING)
        values = original_dextr.network_input(image, POINTS_YX, crop, SIZE, SIGMA)
        with torch.no_grad():
            logits = model.net(values)["out"][0, 0]
        return (original_dextr.whole_mask(logits, crop, IMAGE_HW) > 0.5).astype(np.uint8)

    return predict


def our_side(predictor: DextrPredictor) -> Callable[[], np.ndarray]:
    """The commands' prediction: (H, W) uint8 of 0 and 1."""
    request = Request("photo", photo(), (Prompt(extreme_points=POINTS_YX[:, ::-1].copy()),))

    def predict() -> np.ndarray:
        (found,) = predictor.predict([request])
        assert isinstance(found, list)
        return compose(found, IMAGE_HW)

    return predict


def serve(name: str, folder: Path) -> None:
    """The other process: a prediction and a line with its times for every line that comes in."""
    path = folder / "model.safetensors"
    if name == "peer":
        model = DextrModel.from_file(path)
        net, predict = model.net, peer_side(model)
    else:
        keep_freed_memory()  # as the commands do
        predictor = DextrPredictor.load(DextrConfig(model=str(path), device="cpu", precision=name))
        net, predict = predictor._model.net, our_side(predictor)  # private, only to time the net apart
    times: list[float] = []
    net.register_forward_pre_hook(lambda *_: times.append(time.perf_counter()))
    net.register_forward_hook(lambda *_: times.append(time.perf_counter()))
    for _ in sys.stdin:
        times.clear()
        start = time.perf_counter()
        mask = predict()
        whole = time.perf_counter() - start
        np.save(folder / f"{name}.npy", mask)
        print(json.dumps({"s": whole, "outside_s": whole - (times[1] - times[0])}), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
