"""Segment Anything behind the predictor protocol: images and prompts in, instances out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Sequence
from typing import Any

from torch import Tensor

from maskworks.errors import RequestError
from maskworks.memory_errors import memory_errors
from maskworks.predictor import Result, Work
from maskworks.types import NAMELESS, Instance, Instances, Prompt, Request
from maskworks.wire import base64text
from maskworks_sam.automatic import Everything
from maskworks_sam.decoder import Decoder
from maskworks_sam.embedder import Embedding
from maskworks_sam.masks import Mask, chosen_masks
from maskworks_sam.model import ReadyModel, load_model
from maskworks_sam.options import SamConfig

# Prompts in a chunk of work: a third of a second on a core of a CPU, on which more of them are no faster either.
_TOGETHER = {"cpu": 4, "cuda": 64}


class SamAdapter:
    """A SAM model, ready to predict. Of images it keeps embeddings, under keys made of their content, nothing else.

    Args:
        model: made ready with `load_model`.
        config: the flags.
    """

    def __init__(self, model: ReadyModel, config: SamConfig) -> None:
        self.segmenter = model.segmenter
        self._embedder, self._choice = model.embedder, config.mask_choice
        self._decoder = Decoder(model.sam, _TOGETHER["cpu" if model.device == "cpu" else "cuda"])
        names = ("points_per_side", "pred_iou_thresh", "stability_score_thresh")
        settings = {name: getattr(config, name) for name in names}
        self._everything = Everything(self._decoder, **settings) if config.automatic else None

    @classmethod
    def load(cls, config: SamConfig) -> SamAdapter:
        """Loads the model that the flags name; raises what `load_model` does."""
        return cls(load_model(config), config)

    def predict(self, requests: Sequence[Request]) -> list[Result]:
        """One instance per prompt, or more with `all`. The images are encoded together, the objects of each decoded."""
        return [_finished(work) for work in self.start(requests)]

    def start(self, requests: Sequence[Request]) -> list[Work]:
        """The same in chunks: the images are encoded now, some objects are decoded with each step."""
        with memory_errors():
            embeddings = self._embedder.embed([request.image for request in requests])
        return [self._work(request, own) for request, own in zip(requests, embeddings, strict=True)]

    def _work(self, request: Request, embedding: Embedding) -> Work:
        meta = {"cache": "hit" if embedding.hit else "miss"}
        with memory_errors():
            return Instances((yield from self._found(request, embedding.values)), meta)

    def _found(self, request: Request, embedding: Tensor) -> Generator[None, None, list[Instance]]:
        if self._everything is not None:
            return (yield from self._everything.find(request.size, embedding))
        found: dict[int, list[Instance]] = defaultdict(list)
        for indices, decoded in self._decoder.chunks(embedding, request.prompts, request.size):
            yield
            prompts = [request.prompts[index] for index in indices]
            for mask in chosen_masks(decoded, prompts, self._choice, request.size, self._decoder.side):
                index = indices[mask.prompt]
                found[index].append(_instance(mask, request.prompts[index], index).packed())
                yield
        return [instance for index in range(len(request.prompts)) for instance in found[index]]


def _finished(work: Work) -> Result:
    """What comes of it."""
    try:
        while True:
            next(work)
    except StopIteration as end:
        found: Result = end.value
        return found
    except RequestError as error:
        return error


def _instance(mask: Mask, prompt: Prompt, index: int) -> Instance:
    stability = None if mask.stability is None else round(mask.stability, 4)
    meta: dict[str, Any] = {"stability": stability, "prompt": index, "output": mask.output}
    if prompt.extreme_points is not None:
        meta["points"] = "the box that they span"
    if prompt.low_res_logits:
        meta["low_res_logits"] = _as_text(mask.logits)
    score = round(mask.score, 4)
    return Instance(mask.pixels, mask.offset, prompt.label, prompt.name or NAMELESS, score, meta=meta | prompt.facts)


def _as_text(logits: Tensor) -> str:
    """(S, S) logits as the base64 text that a prompt takes as its `mask_input`."""
    return base64text.encode(logits.cpu().numpy().astype("<f4").tobytes())
