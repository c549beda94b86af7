"""Prompts and an image's embedding in, low-resolution masks out: the package's modules, many objects in one call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything.modeling import Sam
from torch import Tensor

from maskworks.errors import BadPrompt
from maskworks.types import Floats, Prompt
from maskworks_sam.preprocessing import input_size

# What a token stands for, as places in a table of embeddings: the label of a click, or the corner of a box.
_PADDING, _FIRST_CORNER, _LAST_CORNER = -1, 2, 3
# For the scores of one attention of the decoder. On a CPU more would only make chunks of work longer.
_SCORES_BYTES = {"cpu": 16 * 2**20, "cuda": 256 * 2**20}


@dataclass(frozen=True, eq=False)
class Decoded:
    """The model's answers for N prompts, in their order, on its device.

    Attributes:
        logits: (N, K, S, S) float32, a pixel belongs to the object where they are positive. S is a quarter of the side
            of the input, K is 4: the mask for a clear prompt, then three for one that may mean the whole or a part.
        scores: (N, K) float32, the model's own estimate of each mask's IoU.
    """

    logits: Tensor
    scores: Tensor


class Decoder:
    """The prompt encoder and the mask decoder of a model. It computes in float32.

    Args:
        sam: has both, on their device.
        most: how many prompts go through the decoder at a time, fewer if they are long; more take several calls.
    """

    def __init__(self, sam: Sam, most: int) -> None:
        self._prompts, self._decoder, self._most = sam.prompt_encoder, sam.mask_decoder, most
        self.side: int = sam.prompt_encoder.input_image_size[0]
        self.device = sam.prompt_encoder.no_mask_embed.weight.device
        self._positions = self._prompts.get_dense_pe()
        points = [self._prompts.not_a_point_embed, *self._prompts.point_embeddings]
        self._kinds = torch.cat([embedding.weight for embedding in points])

    def decode(self, embedding: Tensor, prompts: Sequence[Prompt], size: tuple[int, int]) -> Decoded:
        """The masks of all objects in one image at once; see `chunks`."""
        logits: list[Tensor] = [torch.empty(0)] * len(prompts)
        scores = list(logits)
        for some, decoded in self.chunks(embedding, prompts, size):
            for index, own_logits, own_scores in zip(some, decoded.logits, decoded.scores, strict=True):
                logits[index], scores[index] = own_logits, own_scores
        return Decoded(torch.stack(logits), torch.stack(scores))

    @torch.no_grad()
    def chunks(
        self, embedding: Tensor, prompts: Sequence[Prompt], size: tuple[int, int]
    ) -> Iterator[tuple[list[int], Decoded]]:
        """The masks of objects in one image, those of some prompts of the same length at a time.

        Args:
            embedding: (256, h, w) float32.
            prompts: one per object, at least one.
            size: height and width of the image in pixels.

        Yields:
            The indices of the prompts, and what was decoded for them.

        Raises:
            BadPrompt: a mask of another size than this model's; before anything is decoded.
        """
        self._check(prompts)
        tokens = [_tokens(prompt, size, self.side) for prompt in prompts]
        lengths = [len(kinds) for _, kinds in tokens]
        image = embedding[None].to(self.device)
        for length in sorted(set(lengths)):
            same, most = [index for index, other in enumerate(lengths) if other == length], self._together(length)
            for some in (same[first : first + most] for first in range(0, len(same), most)):
                sparse, dense = self._sparse([tokens[i] for i in some]), self._dense([prompts[i] for i in some])
                yield some, Decoded(*self._decoder.predict_masks(image, self._positions, sparse, dense))

    def _together(self, length: int) -> int:
        """How many prompts of so many tokens go through the decoder at a time.

        Every token is compared with every other one and with every place of the image, for each head of the attention.
        """
        height, width = self._prompts.image_embedding_size
        tokens = length + 1 + self._decoder.num_mask_tokens
        scores: int = self._decoder.transformer.layers[0].self_attn.num_heads * tokens * (tokens + height * width)
        most = _SCORES_BYTES["cpu" if self.device.type == "cpu" else "cuda"]
        return min(max(most // (4 * scores), 1), self._most)

    def _sparse(self, tokens: Sequence[tuple[Floats, list[int]]]) -> Tensor:
        """(B, n, 256) embeddings of clicks and corners, for prompts of n tokens each."""
        points = torch.from_numpy(np.stack([xy for xy, _ in tokens])).to(self.device, torch.float32)
        kinds = torch.tensor([kinds for _, kinds in tokens], dtype=torch.int64).to(self.device)
        places = self._prompts.pe_layer.forward_with_coords(points + 0.5, (self.side, self.side))
        embeddings: Tensor = torch.where(kinds[..., None] == _PADDING, 0.0, places) + self._kinds[kinds + 1]
        return embeddings

    def _dense(self, prompts: Sequence[Prompt]) -> Tensor:
        """(B, 256, h, w) embeddings of the masks to start from."""
        height, width = self._prompts.image_embedding_size
        nothing: Tensor = self._prompts.no_mask_embed.weight.reshape(-1, 1, 1).expand(-1, height, width)
        if all(prompt.mask_input is None for prompt in prompts):
            return nothing.expand(len(prompts), -1, -1, -1)
        return torch.stack([nothing if p.mask_input is None else self._mask(p.mask_input) for p in prompts])

    def _mask(self, logits: NDArray[np.float32]) -> Tensor:
        values = torch.tensor(logits, device=self.device)
        embedding: Tensor = self._prompts.mask_downscaling(values[None, None])[0]
        return embedding

    def _check(self, prompts: Sequence[Prompt]) -> None:
        expected = self._prompts.mask_input_size
        for prompt in prompts:
            if prompt.mask_input is not None and prompt.mask_input.shape != expected:
                path = f"{prompt.path}.mask_input" if prompt.path else "mask_input"
                found = "{}x{} logits".format(*prompt.mask_input.shape)
                raise BadPrompt(path, found, "{}x{} for this model".format(*expected))


def is_single_click(prompt: Prompt) -> bool:
    """Whether all that is known about an object is one click."""
    alone = box_of(prompt) is None and prompt.mask_input is None
    return alone and prompt.clicks is not None and len(prompt.clicks) == 1


def box_of(prompt: Prompt) -> Floats | None:
    """The box of a prompt, (4,) of x0, y0, x1, y1: given as such, or spanned by extreme points."""
    if prompt.extreme_points is None:
        return prompt.box
    return np.concatenate([prompt.extreme_points.min(axis=0), prompt.extreme_points.max(axis=0)])


def _tokens(prompt: Prompt, size: tuple[int, int], side: int) -> tuple[Floats, list[int]]:
    """Points (n, 2) in pixels of the network's input, and what each of them stands for."""
    height, width = input_size(*size, side)
    scale = np.array([width / size[1], height / size[0]])
    points, kinds = [np.empty((0, 2))], list[int]()
    box = box_of(prompt)
    if prompt.clicks is not None and prompt.click_labels is not None:
        points.append(prompt.clicks * scale)
        kinds += prompt.click_labels.tolist()
        if box is None:
            points.append(np.zeros((1, 2)))
            kinds.append(_PADDING)
    if box is not None:
        points.append(box.reshape(2, 2) * scale)
        kinds += [_FIRST_CORNER, _LAST_CORNER]
    return np.concatenate(points), kinds
