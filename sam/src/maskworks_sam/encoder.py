"""SAM's image encoder, made ready for inference: the weights of `segment_anything`, another way of computing.

Differences from the package's own forward pass: attention never holds all scores, tokens that only pad a window are
not multiplied with anything, and on CPUs linear layers run on prepacked weights, a few rows at a time, GELU included.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from maskworks_sam.attention import blockwise_attention, fused_attention, relative_table
from maskworks_sam.linear import make_linear
from maskworks_sam.windows import Windows
from maskworks_torch.cpu_operators.threads import each

# Operands and results of products of so many rows stay in the cache of a core.
_MOST_ROWS = 512


class ImageEncoder(nn.Module):
    """A copy of an image encoder for one device and type; it cannot be moved.

    Args:
        package: the `ImageEncoderViT` to copy the weights from.
        device: where it runs.
        dtype: the type of matrix products. The residual stream stays float32.

    Attributes:
        img_size: height and width of its input in pixels.
    """

    def __init__(self, package: Any, device: str, dtype: torch.dtype) -> None:
        super().__init__()
        self.img_size: int = package.img_size
        self.dtype = dtype
        place: dict[str, Any] = {"device": device, "dtype": torch.float32}
        self.patches = _frozen(package.patch_embed.proj, **place)
        self.positions = package.pos_embed.detach().to(**place)
        self.blocks = nn.ModuleList(Block(block, device, dtype, self.positions.shape[1:3]) for block in package.blocks)
        self.neck = _frozen(package.neck, **place)
        self.eval()

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Embeds images.

        Args:
            x: (N, 3, img_size, img_size) float32, normalised and padded.

        Returns:
            (N, 256, img_size / 16, img_size / 16) float32.
        """
        tokens: Tensor = (self.patches(x).permute(0, 2, 3, 1) + self.positions).contiguous()
        for block in self.blocks:
            tokens = block(tokens)
        embedding: Tensor = self.neck(tokens.permute(0, 3, 1, 2))
        return embedding.contiguous()


class Block(nn.Module):
    """One block of the vision transformer, with attention over the whole image or within windows.

    Args:
        package: the `Block` to copy the weights from.
        device: where it runs.
        dtype: the type of matrix products.
        grid: rows and columns of tokens in an image.
    """

    def __init__(self, package: Any, device: str, dtype: torch.dtype, grid: tuple[int, int]) -> None:
        super().__init__()
        self.norm1 = _frozen(package.norm1, device=device)
        self.norm2 = _frozen(package.norm2, device=device)
        attention, mlp = package.attn, package.mlp
        self.qkv = make_linear(attention.qkv, device, dtype)
        self.project = make_linear(attention.proj, device, dtype)
        self.expand = make_linear(mlp.lin1, device, dtype, gelu=True)
        self.shrink = make_linear(mlp.lin2, device, dtype)
        self.dtype, self.heads = dtype, attention.num_heads
        self.windows = Windows.cut(grid, package.window_size, self.heads, device)
        # On the CPU the scores of positions are float32, independent of the type of the products.
        table_type = torch.float32 if device == "cpu" else dtype
        self.rel_h = relative_table(attention.rel_pos_h.detach(), self.windows.rows).to(device, table_type)
        self.rel_w = relative_table(attention.rel_pos_w.detach(), self.windows.columns).to(device, table_type)
        self.padding = attention.qkv.bias.detach().to(device, dtype)
        self.attend = blockwise_attention if device == "cpu" else fused_attention

    def forward(self, x: Tensor) -> Tensor:
        """x (N, H, W, C) float32, contiguous -> the same shape and type; x itself is changed."""
        tokens = x.view(-1, x.shape[-1])
        mixed = self._mixed(self._projected(tokens), len(x))

        def finish(rows: slice) -> None:
            some = tokens[rows]
            self.project.add(mixed[rows], some)
            self.shrink.add(self.expand(self.norm2(some).to(self.dtype)), some)

        each_rows(finish, tokens)
        return x

    def _projected(self, tokens: Tensor) -> Tensor:
        """tokens (M, C) -> queries, keys and values of all heads (M + 1, 3 C); the last ones are those of padding.

        The package pads windows that reach beyond the image after the normalisation, with zeros, whose projections are
        the biases. The padding takes part as keys; its own outputs are not computed.
        """
        qkv = tokens.new_empty(len(tokens) + 1, 3 * tokens.shape[1], dtype=self.dtype)
        qkv[-1] = self.padding

        def project(rows: slice) -> None:
            self.qkv.write(self.norm1(tokens[rows]).to(self.dtype), qkv[rows])

        each_rows(project, tokens)
        return qkv

    def _mixed(self, qkv: Tensor, images: int) -> Tensor:
        """qkv (M + 1, 3 C) -> (M, C): the attention of each token over its window."""
        size = qkv.shape[1] // 3 // self.heads
        spread = qkv.view(-1, size).index_select(0, self.windows.spread(images))
        q, k, v = spread.view(3, images * self.windows.count * self.heads, -1, size)
        mixed = self.attend(q, k, v, self.rel_h, self.rel_w)
        return mixed.view(-1, size).index_select(0, self.windows.collect(images)).view(len(qkv) - 1, -1)


def each_rows(work: Callable[[slice], None], tokens: Tensor) -> None:
    """Does the work on all rows of tokens: at once on a GPU, a few at a time in each thread of a CPU."""
    if tokens.device.type != "cpu":
        work(slice(0, len(tokens)))
        return
    step = min(_MOST_ROWS, -(-len(tokens) // torch.get_num_threads()))
    each(work, [slice(first, min(first + step, len(tokens))) for first in range(0, len(tokens), step)])


def _frozen(module: nn.Module, **place: Any) -> nn.Module:
    """A copy of a module that is not trained."""
    return copy.deepcopy(module).requires_grad_(False).to(**place)
