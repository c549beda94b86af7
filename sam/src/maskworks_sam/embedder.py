"""Embeddings of images, each computed once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskworks.memory_errors import memory_errors
from maskworks_sam.encoder import ImageEncoder
from maskworks_sam.folder_cache import FolderCache
from maskworks_sam.memory_cache import MemoryCache
from maskworks_sam.preprocessing import VERSION, network_input

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """The encoder's result for an image.

    Attributes:
        values: (256, h, w) float32, on the CPU.
        hit: True if it came from a cache.
        file: where it was put or found in the folder, None if nowhere; it may have had to go since.
    """

    values: Tensor
    hit: bool
    file: Path | None = None


class Embedder:
    """An image encoder with a cache of its results.

    Args:
        encoder: the model.
        device: where it runs.
        identity: tells its weights and its precision from all others; part of every key.
        memory: embeddings in memory.
        folder: embeddings in files.
    """

    def __init__(
        self, encoder: ImageEncoder, device: str, identity: str, memory: MemoryCache, folder: FolderCache | None = None
    ) -> None:
        self._encoder, self._device, self._identity = encoder, device, identity
        self._memory, self._folder = memory, folder
        self.side = encoder.img_size

    def embed(self, images: Sequence[Image]) -> list[Embedding]:
        """The embeddings of images (H, W, 3) uint8 RGB; those that are not known are computed in one call.

        The first request for an image is a miss, every further one a hit, also within one call.

        Raises:
            OutOfMemory: together they do not fit.
        """
        keys = [self.key(image) for image in images]
        by_key = dict(zip(keys, images, strict=True))
        known = {key: found for key in by_key if (found := self._look_up(key)) is not None}
        missing = [key for key in by_key if key not in known]
        computed = self._compute([by_key[key] for key in missing]) if missing else []
        new = {key: self._keep(key, values) for key, values in zip(missing, computed, strict=True)}
        answers: list[Embedding] = []
        for key in keys:
            answers.append(known[key] if key in known else new[key])
            known.setdefault(key, replace(answers[-1], hit=True))
        return answers

    def key(self, image: Image) -> str:
        """Identifies an image's embedding: by content, preprocessing, weights and precision."""
        digest = hashlib.blake2b(f"{VERSION} {self.side} {self._identity} {image.shape}".encode(), digest_size=20)
        digest.update(np.ascontiguousarray(image).data)
        return digest.hexdigest()

    def _look_up(self, key: str) -> Embedding | None:
        values = self._memory.get(key)
        if values is not None:
            if self._folder is not None:
                self._folder.touch(key)
            return Embedding(values, True)
        if self._folder is None or (values := self._folder.get(key)) is None:
            return None
        self._memory.put(key, values)
        return Embedding(values, True, self._folder.path(key))

    def _keep(self, key: str, values: Tensor) -> Embedding:
        self._memory.put(key, values)
        if self._folder is None or not self._folder.put(key, values):
            return Embedding(values, False)
        return Embedding(values, False, self._folder.path(key))

    def _compute(self, images: Sequence[Image]) -> list[Tensor]:
        with memory_errors():
            batch = torch.stack([network_input(image, self.side) for image in images])
            values: Tensor = self._encoder(batch.to(self._device))
            return [value.clone() for value in values.cpu()]  # each with memory of its own, to be freed apart
