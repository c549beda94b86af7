"""A checkpoint made ready to run: the parts that the commands share."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from segment_anything.modeling import Sam

from maskworks.errors import DeviceError
from maskworks_sam.checkpoint import fingerprint, load_sam
from maskworks_sam.embedder import Embedder
from maskworks_sam.encoder import ImageEncoder
from maskworks_sam.folder_cache import FolderCache
from maskworks_sam.memory_cache import MemoryCache
from maskworks_sam.options import EncoderConfig
from maskworks_sam.two_way import TwoWay
from maskworks_torch.device import dtype_of, select_both

log = logging.getLogger("maskworks.sam")


@dataclass(frozen=True, eq=False)
class ReadyModel:
    """A model on its device.

    Attributes:
        sam: the package's model; its image encoder and the transformer of its decoder are ours.
        embedder: makes embeddings.
        segmenter: what `meta.segmenter` says.
        device: where it runs.
    """

    sam: Sam
    embedder: Embedder
    segmenter: dict[str, Any]
    device: str


def load_model(config: EncoderConfig) -> ReadyModel:
    """Loads the model that the flags name onto the device that they name.

    Raises:
        CheckpointError: it cannot be loaded, or is of another type.
        UnsafeCheckpoint: loading would run code from it, and --unsafe_load is not given.
        DeviceError: the device or the precision is not usable, or --compile does not work here.
    """
    device, precision = select_both(config.device, config.precision)
    sam, model_type = load_sam(Path(config.model), config.model_type, unsafe=config.unsafe_load)
    segmenter = {"type": "sam", "model_type": model_type, "model_file": Path(config.model).name}
    identity = precision if config.embedding_cache is None else f"{precision} {fingerprint(sam.image_encoder)}"
    encoder = ImageEncoder(sam.image_encoder, device, dtype_of(precision))
    sam.image_encoder = encoder
    sam.mask_decoder.transformer = TwoWay(sam.mask_decoder.transformer)
    sam.to(device)
    if config.compile and device == "cpu":
        log.warning("--compile: changes nothing on the CPU, whose operations are chosen by hand")
    elif config.compile:
        _compile(encoder, device)
    log.info("%s (%s) on %s, %s", Path(config.model).name, model_type, device, precision)
    return ReadyModel(sam, Embedder(encoder, device, identity, *_caches(config, sam)), segmenter, device)


def _caches(config: EncoderConfig, sam: Sam) -> tuple[MemoryCache, FolderCache | None]:
    memory = MemoryCache(int(config.embedding_cache_mb * 1e6))
    if config.embedding_cache is None:
        return memory, None
    shape = (sam.prompt_encoder.embed_dim, *sam.prompt_encoder.image_embedding_size)
    return memory, FolderCache(config.embedding_cache, int(config.embedding_cache_gb * 1e9), shape)


def _compile(encoder: ImageEncoder, device: str) -> None:
    """Compiles now, not at the first request, so that what is missing for it is told at once."""
    encoder.compile()
    try:
        encoder(torch.zeros(1, 3, encoder.img_size, encoder.img_size, device=device))
    except Exception as error:  # noqa: BLE001  # whatever the compiler and its tools raise
        reason = str(error).strip().partition("\n")[0]
        advice = "leave the flag out, or install a compiler"
        raise DeviceError(f"--compile: does not work here: {reason}; {advice}") from None
