"""SAM's checkpoints: the architecture from the shapes of the weights, and the model with these weights."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from torch import Tensor, nn

from maskworks.errors import CheckpointError
from maskworks_sam.preprocessing import MEAN, STD
from maskworks_torch.checkpoints import load_state_dict

# The published models by width and depth of their image encoder.
_TYPES = {(1280, 32): "vit_h", (1024, 24): "vit_l", (768, 12): "vit_b"}
_HEADS_OF_DECODER = 8


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The architecture of a model, in the words of `ImageEncoderViT`, read from the shapes of its weights."""

    img_size: int
    patch_size: int
    embed_dim: int
    depth: int
    num_heads: int
    mlp_dim: int
    window_size: int
    global_attn_indexes: tuple[int, ...]
    out_chans: int
    mask_in_chans: int
    decoder_depth: int
    decoder_mlp_dim: int
    masks: int
    iou_head_dim: int
    iou_head_depth: int

    @property
    def model_type(self) -> str:
        """`vit_h`, `vit_l` or `vit_b`; for others width and depth of the encoder, as in `vit_384x6`."""
        return _TYPES.get((self.embed_dim, self.depth), f"vit_{self.embed_dim}x{self.depth}")

    @classmethod
    def of(cls, weights: dict[str, Tensor]) -> Architecture:
        """Reads the architecture off the weights.

        Raises:
            KeyError, IndexError, ValueError, ZeroDivisionError: they are not those of a SAM.
        """
        shapes = {name: tuple(value.shape) for name, value in weights.items()}
        embed_dim, _, patch_size, _ = shapes["image_encoder.patch_embed.proj.weight"]
        grid = shapes["image_encoder.pos_embed"][1]
        depth = _count(shapes, "image_encoder.blocks")
        sides = [(shapes[f"image_encoder.blocks.{i}.attn.rel_pos_h"][0] + 1) // 2 for i in range(depth)]
        return cls(
            img_size=grid * patch_size,
            patch_size=patch_size,
            embed_dim=embed_dim,
            depth=depth,
            num_heads=embed_dim // shapes["image_encoder.blocks.0.attn.rel_pos_h"][1],
            mlp_dim=shapes["image_encoder.blocks.0.mlp.lin1.weight"][0],
            window_size=min(sides) if min(sides) < grid else 0,
            global_attn_indexes=tuple(index for index, side in enumerate(sides) if side == grid),
            out_chans=shapes["image_encoder.neck.0.weight"][0],
            mask_in_chans=shapes["prompt_encoder.mask_downscaling.3.weight"][0],
            decoder_depth=_count(shapes, "mask_decoder.transformer.layers"),
            decoder_mlp_dim=shapes["mask_decoder.transformer.layers.0.mlp.lin1.weight"][0],
            masks=_count(shapes, "mask_decoder.output_hypernetworks_mlps"),
            iou_head_dim=shapes["mask_decoder.iou_prediction_head.layers.0.weight"][0],
            iou_head_depth=_count(shapes, "mask_decoder.iou_prediction_head.layers"),
        )

    def build(self) -> Sam:
        """The package's model without weights: tensors of the meta device."""
        grid = self.img_size // self.patch_size
        with torch.device("meta"):
            return Sam(
                image_encoder=ImageEncoderViT(
                    img_size=self.img_size,
                    patch_size=self.patch_size,
                    embed_dim=self.embed_dim,
                    depth=self.depth,
                    num_heads=self.num_heads,
                    mlp_ratio=self.mlp_dim / self.embed_dim,
                    out_chans=self.out_chans,
                    norm_layer=partial(nn.LayerNorm, eps=1e-6),
                    use_rel_pos=True,
                    window_size=self.window_size,
                    global_attn_indexes=self.global_attn_indexes,
                ),
                prompt_encoder=PromptEncoder(
                    embed_dim=self.out_chans,
                    image_embedding_size=(grid, grid),
                    input_image_size=(self.img_size, self.img_size),
                    mask_in_chans=self.mask_in_chans,
                ),
                mask_decoder=MaskDecoder(
                    num_multimask_outputs=self.masks - 1,
                    transformer=TwoWayTransformer(
                        depth=self.decoder_depth,
                        embedding_dim=self.out_chans,
                        mlp_dim=self.decoder_mlp_dim,
                        num_heads=_HEADS_OF_DECODER,
                    ),
                    transformer_dim=self.out_chans,
                    iou_head_depth=self.iou_head_depth,
                    iou_head_hidden_dim=self.iou_head_dim,
                ),
            ).eval()


def load_sam(path: Path, model_type: str | None = None, *, unsafe: bool = False) -> tuple[Sam, str]:
    """The package's model with the weights of a file, float32 on the CPU, and its type.

    Args:
        path: the checkpoint.
        model_type: the type that it has to be, `default` meaning `vit_h`; None for any.
        unsafe: allow code from the file to run.

    Raises:
        CheckpointError: missing, broken, not a SAM, or of another type.
        UnsafeCheckpoint: it can only be loaded by running code from it.
    """
    weights = load_state_dict(path, unsafe=unsafe)
    try:
        architecture = Architecture.of(weights)
        sam: Any = architecture.build()
        expected = {name: tuple(value.shape) for name, value in sam.state_dict().items()}
    except (LookupError, ValueError, TypeError, ArithmeticError, AssertionError, RuntimeError) as error:
        raise CheckpointError(
            f"{path}: no weights of Segment Anything ({error}); expected vit_h, vit_l or vit_b"
        ) from None
    wanted = "vit_h" if model_type == "default" else model_type
    if wanted not in (None, architecture.model_type):
        raise CheckpointError(
            f"{path}: holds a {architecture.model_type}, but --model_type is {model_type}; leave the flag out, or give "
            "the file of that type"
        )
    for name in sorted(expected.keys() | weights.keys()):
        found = tuple(weights[name].shape) if name in weights else None
        if found != expected.get(name):
            raise CheckpointError(
                f"{path}: {name} is {found or 'missing'}, expected {expected.get(name) or 'nothing'}; the file is not "
                "complete or not of Segment Anything"
            )
    sam.load_state_dict({name: value.float() for name, value in weights.items()}, assign=True)
    sam.pixel_mean = torch.tensor(MEAN).view(-1, 1, 1)
    sam.pixel_std = torch.tensor(STD).view(-1, 1, 1)
    return sam.requires_grad_(False), architecture.model_type


def fingerprint(encoder: nn.Module) -> str:
    """A hash of the weights, in hexadecimal digits: the same for the same weights in any file."""
    digest = hashlib.blake2b(digest_size=16)
    for name, value in sorted(encoder.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def _count(shapes: dict[str, Any], prefix: str) -> int:
    """How many layers there are under a name; a file that says 10^9 of one of them has no more for it."""
    start = f"{prefix}."
    return len({name[len(start) :].partition(".")[0] for name in shapes if name.startswith(start)})
