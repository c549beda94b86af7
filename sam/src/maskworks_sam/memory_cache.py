"""Embeddings in memory, the least recently used going first."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor


class MemoryCache:
    """Tensors by key, up to a number of bytes; 0 keeps none."""

    def __init__(self, most_bytes: int) -> None:
        self._most, self._bytes = most_bytes, 0
        self._tensors: OrderedDict[str, Tensor] = OrderedDict()

    def get(self, key: str) -> Tensor | None:
        """The tensor, if it is still there."""
        found = self._tensors.get(key)
        if found is not None:
            self._tensors.move_to_end(key)
        return found

    def put(self, key: str, tensor: Tensor) -> None:
        """Keeps a tensor, in place of older ones; one that is larger than the whole cache is not kept."""
        if tensor.nbytes > self._most or key in self._tensors:
            return
        self._tensors[key] = tensor
        self._bytes += tensor.nbytes
        while self._bytes > self._most:
            _, oldest = self._tensors.popitem(last=False)
            self._bytes -= oldest.nbytes

    @property
    def nbytes(self) -> int:
        """Size of the tensors."""
        return self._bytes
