"""The transformer of SAM's mask decoder, with its weights multiplied into the few tokens instead of the whole image.

A prompt has about seven tokens, the image 4096 places. Where the package projects every place for every head, here the
projection moves to the tokens' side of the dot product: q.(Wk x) = (Wk' q).x, and sum(p Wv x) = Wv sum(p x). The result
is the same for less than half of the multiplications, and nothing as large as the image is copied for the heads.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class TwoWay(nn.Module):
    """Takes the place of the package's `TwoWayTransformer`, whose weights it uses.

    Args:
        package: the transformer.
    """

    def __init__(self, package: Any) -> None:
        super().__init__()
        self.layers = package.layers
        self.tokens_to_image = nn.ModuleList(TokensToImage(layer.cross_attn_token_to_image) for layer in self.layers)
        self.image_to_tokens = nn.ModuleList(ImageToTokens(layer.cross_attn_image_to_token) for layer in self.layers)
        self.final = TokensToImage(package.final_attn_token_to_image)
        self.norm_final = package.norm_final_attn

    def forward(self, image_embedding: Tensor, image_pe: Tensor, point_embedding: Tensor) -> tuple[Tensor, Tensor]:
        """Lets tokens and image attend to each other.

        Args:
            image_embedding: (B, C, h, w).
            image_pe: (B, C, h, w), where each place is.
            point_embedding: (B, N, C), the tokens.

        Returns:
            The tokens (B, N, C) and the image (B, h w, C).
        """
        places = image_pe.flatten(2).transpose(1, 2)
        image = image_embedding.flatten(2).transpose(1, 2).contiguous()
        tokens = point_embedding
        for layer, to_image, to_tokens in zip(self.layers, self.tokens_to_image, self.image_to_tokens, strict=True):
            tokens = self._among_themselves(layer, tokens, point_embedding)
            located = image + places
            tokens = layer.norm2(tokens + to_image(tokens + point_embedding, located, image))
            tokens = layer.norm3(tokens + layer.mlp(tokens))
            image = layer.norm4(to_tokens(image, located, tokens + point_embedding, tokens))
        tokens = tokens + self.final(tokens + point_embedding, image + places, image)
        return self.norm_final(tokens), image

    @staticmethod
    def _among_themselves(layer: Any, tokens: Tensor, names: Tensor) -> Tensor:
        if layer.skip_first_layer_pe:
            mixed: Tensor = layer.self_attn(q=tokens, k=tokens, v=tokens)
        else:
            named = tokens + names
            mixed = tokens + layer.self_attn(q=named, k=named, v=tokens)
        normed: Tensor = layer.norm1(mixed)
        return normed


class CrossAttention(nn.Module):
    """Both directions: the projections of the package's `Attention`, by head."""

    def __init__(self, package: Any) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj = package.q_proj, package.k_proj, package.v_proj
        self.out_proj, self.heads = package.out_proj, package.num_heads

    def by_head(self, x: Tensor) -> Tensor:
        """(B, N, heads d) -> (B, heads, N, d)."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def scores(self, tokens: Tensor, projection: nn.Linear, image: Tensor) -> Tensor:
        """Products of projected tokens (B, heads, N, d) and places (B, L, C), as (B, heads, N, L).

        What the projection's bias would add for each token is left out.
        """
        weights = projection.weight.view(self.heads, -1, image.shape[-1])
        folded = (tokens * tokens.shape[-1] ** -0.5) @ weights
        products = folded.flatten(1, 2) @ image.transpose(1, 2)
        result: Tensor = products.view(*tokens.shape[:3], -1)
        return result


class TokensToImage(CrossAttention):
    """Tokens ask the image."""

    def forward(self, asking: Tensor, located: Tensor, image: Tensor) -> Tensor:
        """asking (B, N, C), located and image (B, L, C) -> (B, N, C).

        The keys' bias adds the same to all scores of a token, which the softmax takes out again.
        """
        scores = self.scores(self.by_head(self.q_proj(asking)), self.k_proj, located)
        seen = (scores.softmax(-1).flatten(1, 2) @ image).view(*scores.shape[:3], -1)
        weights = self.v_proj.weight.view(self.heads, -1, image.shape[-1])
        values = (seen @ weights.transpose(1, 2)).transpose(1, 2).flatten(2) + self.v_proj.bias
        answer: Tensor = self.out_proj(values)
        return answer


class ImageToTokens(CrossAttention):
    """Every place of the image asks the tokens."""

    def forward(self, image: Tensor, located: Tensor, named: Tensor, tokens: Tensor) -> Tensor:
        """image and located (B, L, C), named and tokens (B, N, C) -> the image with the answers added, (B, L, C)."""
        keys = self.by_head(self.k_proj(named))
        bias = keys @ self.q_proj.bias.view(self.heads, -1, 1) * keys.shape[-1] ** -0.5
        shares = (self.scores(keys, self.q_proj, located) + bias).softmax(2)
        weights = self.out_proj.weight.view(-1, self.heads, keys.shape[-1]).permute(1, 2, 0)
        values = (self.by_head(self.v_proj(tokens)) @ weights).flatten(1, 2)
        answered: Tensor = torch.baddbmm(image, shares.flatten(1, 2).transpose(1, 2), values) + self.out_proj.bias
        return answered
