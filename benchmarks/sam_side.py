"""One side of the benchmarks of Segment Anything, as a process of its own: the package's predictor or ours.

`python -m benchmarks.sam_side NAME FOLDER` does what each line that comes in says, with the model in FOLDER. NAME is
`peer` or the precision of ours. A process each, because ours sets how the process keeps its memory, and so that the
peak memory of both can be read.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from segment_anything import SamPredictor, sam_model_registry

from maskworks.freed_memory import keep_freed_memory
from maskworks.types import Request
from maskworks.wire.prompt import parse_prompt
from maskworks_sam.adapter import SamAdapter
from maskworks_sam.options import SamConfig

PHOTO = Path(__file__).resolve().parents[1] / "dextr" / "demo" / "photos" / "officer.jpg"
OBJECTS = 10


class Side:
    """Such a process, from outside.

    Args:
        name: `peer`, or the precision of ours.
        folder: holds the model; masks are written there.
    """

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self._folder, self.peak_gb = name, folder, 0.0
        command = [sys.executable, "-m", "benchmarks.sam_side", name, str(folder)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, task: str) -> float:
        """Does one of the tasks of `tasks`; the seconds that it took in the other process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(task, file=self._process.stdin, flush=True)
        answer = json.loads(self._process.stdout.readline())
        self.peak_gb = answer["peak_gb"]
        return float(answer["s"])

    def logits(self) -> np.ndarray:
        """(OBJECTS, S, S) float32, what the last task `ten` found at low resolution."""
        return np.load(self._folder / f"{self.name}.npy")

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def save_model(folder: Path) -> None:
    """ViT-B with random weights, positions that matter, and logits with the spread of those of a trained model."""
    torch.manual_seed(0)
    sam = sam_model_registry["vit_b"]()
    for name, value in sam.image_encoder.named_parameters():
        if "rel_pos" in name or "pos_embed" in name or name.endswith("qkv.bias"):
            torch.nn.init.normal_(value, std=0.1)
    predictor = SamPredictor(sam)
    predictor.set_image(photo())
    _, _, logits = predictor.predict(box=boxes()[0], multimask_output=False)
    with torch.no_grad():
        for network in sam.mask_decoder.output_hypernetworks_mlps:
            network.layers[-1].weight *= 8 / logits.std()
            network.layers[-1].bias *= 8 / logits.std()
    torch.save(sam.state_dict(), folder / "vit_b.pth")


def photo() -> np.ndarray:
    """(600, 512, 3) uint8 RGB."""
    with Image.open(PHOTO) as image:
        return np.array(image.convert("RGB"))


def boxes() -> np.ndarray:
    """(OBJECTS, 4) of x0, y0, x1, y1."""
    return np.array([[20 + 20 * i, 30 + 15 * i, 200 + 30 * i, 300 + 25 * i] for i in range(OBJECTS)], np.float64)


def tasks(name: str, folder: Path) -> dict[str, Callable[[], np.ndarray | None]]:
    """What can be asked for: `encode` an image, `first` and `second` prompt on an image, `ten` prompts on it.

    Ours has its cache emptied before all but `second`.
    """
    image, corners = photo(), boxes()
    if name == "peer":
        predictor = SamPredictor(sam_model_registry["vit_b"](checkpoint=folder / "vit_b.pth"))

        def ask(number: int) -> np.ndarray:
            return np.stack([predictor.predict(box=box, multimask_output=False)[2][0] for box in corners[:number]])

        return {"encode": lambda: predictor.set_image(image), "second": lambda: ask(1), "ten": lambda: ask(OBJECTS)}

    keep_freed_memory()  # as the commands do
    adapter = SamAdapter.load(SamConfig(model=str(folder / "vit_b.pth"), device="cpu", precision=name))
    embedder = adapter._embedder  # private, to time it apart and to empty its memory

    def forget() -> None:
        embedder._memory._tensors.clear()
        embedder._memory._bytes = 0

    def answer(number: int) -> None:
        adapter.predict([request(image, corners[:number])])

    def logits() -> np.ndarray:
        embedding = embedder.embed([image])[0].values
        found = adapter._decoder.decode(embedding, request(image, corners).prompts, (image.shape[0], image.shape[1]))
        return found.logits[:, 0].numpy()

    return {
        "encode": lambda: (forget(), embedder.embed([image]), None)[-1],
        "first": lambda: (forget(), answer(1))[-1],
        "second": lambda: answer(1),
        "ten": lambda: answer(OBJECTS),
        "encode and ten": lambda: (forget(), answer(OBJECTS))[-1],
        "logits": logits,
    }


def request(image: np.ndarray, corners: np.ndarray) -> Request:
    """A request for the objects in these boxes."""
    objects = [{"box": dict(zip(("x0", "y0", "x1", "y1"), box, strict=True))} for box in corners.tolist()]
    return Request("photo", image, parse_prompt({"objects": objects}))


def serve(name: str, folder: Path) -> None:
    """The other process: a task and a line with its time for every line that comes in."""
    known = tasks(name, folder)
    for line in sys.stdin:
        start = time.perf_counter()
        found: Any = known[line.strip()]()
        seconds = time.perf_counter() - start
        if found is not None:
            np.save(folder / f"{name}.npy", found)
        print(json.dumps({"s": seconds, "peak_gb": peak_gb()}), flush=True)


def peak_gb() -> float:
    """The most memory that this process has used; getrusage would count what its parent used before the fork."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**20


if __name__ == "__main__":
    serve(sys.argv[1], Path(sys.argv[2]))
