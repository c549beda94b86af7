"""`sam_embed`: computes the embeddings of all images in a folder ahead of time."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from maskworks import config, options
from maskworks.commands.run import SOME_FAILED, run_command, say
from maskworks.config import flag
from maskworks.config.arguments import add_flags
from maskworks_sam.options import EncoderConfig

if TYPE_CHECKING:
    import threading

    import numpy as np
    from numpy.typing import NDArray

    from maskworks.types import ImageDecoder
    from maskworks_sam.embedder import Embedder, Embedding

log = logging.getLogger("maskworks.sam")

_ABOUT_IMAGES = ("image_dir", "batch_size")


@dataclass(frozen=True, kw_only=True)
class EmbedConfig(EncoderConfig):
    """Also the images, and how many are encoded at a time."""

    image_dir: Path = flag("DIR", "folder with the images; they stay as they are", kind=Path)
    batch_size: int = flag("N", "most images in one run of the model", 1, kind=int, least=1)
    embedding_cache_mb: float = 0.0  # no flag: each image is met once

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        if self.embedding_cache is None:
            yield "--embedding_cache: missing; give the folder that the embeddings are to go to"
        if not self.image_dir.is_dir():
            yield f"--image_dir: {self.image_dir} is not a folder; create it or correct the path"


def embed(argv: Sequence[str] | None = None) -> int:
    """Runs the command. Returns the exit code: 3 if there are images whose embedding is not in the folder now, or files
    but no images.
    """
    parser = options.new_parser("sam_embed", "Segment Anything: embeddings for the images in a folder, ahead of time.")
    options.add_model_options(parser, EmbedConfig, without=_ABOUT_IMAGES)
    add_flags(parser, "folder", EmbedConfig, only=_ABOUT_IMAGES)
    options.add_image_options(parser)
    options.add_log_options(parser)
    return run_command(parser, _embed, argv)


def _embed(args: argparse.Namespace) -> int:
    own = config.from_args(EmbedConfig, args)
    limits, messages = config.from_args(config.InputConfig, args), config.from_args(config.LogConfig, args)
    config.check(own, limits, messages)

    from tqdm import tqdm

    from maskworks import log as logs
    from maskworks.freed_memory import keep_freed_memory
    from maskworks.images.decoder_pool import new_decoder
    from maskworks.shutdown import Shutdown
    from maskworks.transports.folder.others import reasons
    from maskworks.transports.folder.scan import IMAGE_SUFFIXES
    from maskworks_sam.model import load_model

    logs.set_up(messages)
    keep_freed_memory()
    entries = sorted(own.image_dir.iterdir())
    paths = [path for path in entries if path.suffix.lower() in IMAGE_SUFFIXES]
    others = {path for path in entries if path.is_file() and not path.name.startswith(".")}.difference(paths)
    left_alone = reasons(own.image_dir, (path.name for path in others), None)
    with Shutdown() as stop, new_decoder(limits, stop) as images:
        embedder = load_model(own).embedder
        quiet = messages.quiet or not sys.stderr.isatty()
        with tqdm(total=len(paths), unit="image", dynamic_ncols=True, disable=quiet) as bar:
            counts, kept = {"hit": 0, "miss": 0, "failed": 0}, set[Path]()
            for path, embedding in _embeddings(paths, embedder, partial(_decode, images), own.batch_size, stop):
                if embedding is None or embedding.file is None:
                    outcome = "failed"
                else:
                    outcome = "hit" if embedding.hit else "miss"
                    kept.add(embedding.file)
                log.debug("%s: %s", path.name, outcome)
                counts[outcome] += 1
                bar.update()
    gone = sum(not file.exists() for file in kept)
    if gone:
        reason = f"--embedding_cache_gb {own.embedding_cache_gb:g} is too little for all of them; give more"
        log.warning("%d of the embeddings are no longer in the folder: %s", gone, reason)
    for line in left_alone:
        say(line)
    if not messages.quiet:
        say("{miss} computed, {hit} were there, {failed} failed".format(**counts))
    nothing = bool(left_alone) and not paths
    return SOME_FAILED if counts["failed"] or gone or nothing else 0


def _embeddings(
    paths: Sequence[Path],
    embedder: Embedder,
    decode: Callable[[Path], NDArray[np.uint8]],
    batch_size: int,
    stop: threading.Event,
) -> Iterator[tuple[Path, Embedding | None]]:
    """Each image with its embedding, None where there is none; the next batch is decoded while one is computed."""
    batches = [paths[first : first + batch_size] for first in range(0, len(paths), batch_size)]
    with ThreadPoolExecutor(1) as decoder:
        waiting = [decoder.submit(_decode_all, decode, batch) for batch in batches[:1]]
        for index, batch in enumerate(batches):
            if stop.is_set():
                return
            images = waiting.pop().result()
            waiting += [decoder.submit(_decode_all, decode, later) for later in batches[index + 1 : index + 2]]
            good = [image for image in images if image is not None]
            found = iter(_in_halves(embedder, good))
            for path, image in zip(batch, images, strict=True):
                yield path, None if image is None else next(found)


def _in_halves(embedder: Embedder, images: Sequence[NDArray[np.uint8]]) -> list[Embedding | None]:
    """The embeddings of a batch; where it does not fit into memory those of its halves."""
    from maskworks.errors import OutOfMemory

    try:
        return list(embedder.embed(images))
    except OutOfMemory as error:
        if len(images) == 1:
            log.warning("%s", error.message)
            return [None]
    half = len(images) // 2
    return _in_halves(embedder, images[:half]) + _in_halves(embedder, images[half:])


def _decode_all(decode: Callable[[Path], NDArray[np.uint8]], paths: Sequence[Path]) -> list[NDArray[np.uint8] | None]:
    return [_decode_or_warn(decode, path) for path in paths]


def _decode_or_warn(decode: Callable[[Path], NDArray[np.uint8]], path: Path) -> NDArray[np.uint8] | None:
    from maskworks.errors import RequestError

    try:
        return decode(path)
    except (RequestError, OSError) as error:
        log.warning("%s: %s", path.name, error)
        return None


def _decode(images: ImageDecoder, path: Path) -> NDArray[np.uint8]:
    from maskworks.regular_file import read_regular

    # A copy: of images whose decoding took long the decoder lets only a few live, and a batch may be of many.
    return images.decode(read_regular(path, images.limits.max_bytes))[0].copy()
