"""Which objects a data set has; finding them means reading every annotation once, so it can be kept in a file."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dextr.data_pipeline.image_files import PathLike
from dextr.data_pipeline.object_regions import Outline
from maskworks.atomic_write import replacing

_FORMAT = "dextr objects 1"


@dataclass(frozen=True)
class ObjectMetadata:
    """The objects of a data set.

    Attributes:
        indices: int64 (N, 3): image, label - 1, region (-1 if the label has one region in this image).
        outlines: N arrays int64 (M, 2), rows [y, x]; see `object_regions.mask_outline`.
    """

    indices: NDArray[np.int64]
    outlines: list[Outline]

    def of_images(self, images: Collection[int]) -> ObjectMetadata:
        """The objects of some of the images."""
        chosen = np.flatnonzero(np.isin(self.indices[:, 0], list(images)))
        return ObjectMetadata(self.indices[chosen], [self.outlines[index] for index in chosen])

    def save(self, path: PathLike, fingerprint: str) -> None:
        """Write a npz file that `load` takes as long as the fingerprint is the same."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, durable="content") as draft, draft.open("wb") as file:
            np.savez_compressed(
                file,
                format=_FORMAT,
                fingerprint=fingerprint,
                indices=self.indices,
                lengths=np.array([len(outline) for outline in self.outlines], dtype=np.int64),
                outlines=np.concatenate([np.zeros((0, 2), dtype=np.int64), *self.outlines]),
            )

    @classmethod
    def load(cls, path: PathLike, fingerprint: str) -> ObjectMetadata | None:
        """The metadata that `save` wrote; None if there is no such file or its fingerprint is another one.

        Raises:
            ValueError: the file is something else, for example a pickle of the original, which is never opened.
        """
        path = Path(path)
        if not path.exists():
            return None
        try:
            if _is_pickle(path):
                raise ValueError("it is a pickle, as the original wrote")
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                if str(arrays["format"]) != _FORMAT:
                    raise ValueError("unknown format")
                if str(arrays["fingerprint"]) != fingerprint:
                    return None
                ends = np.cumsum(arrays["lengths"])
                return cls(arrays["indices"], np.split(arrays["outlines"], ends)[:-1])
        except (ValueError, KeyError, TypeError, EOFError, AttributeError, zipfile.BadZipFile) as error:
            raise ValueError(
                f"{path} does not hold object metadata of this library ({error}); remove it or name another file"
            ) from error


def fingerprint_of(paths: Iterable[PathLike], *settings: object) -> str:
    """A digest of the names, sizes and modification times of files, some of which may be missing, and of settings."""
    digest = hashlib.sha256(repr(settings).encode())
    for path in paths:
        digest.update(repr((str(path), *_size_and_time(Path(path)))).encode())
    return digest.hexdigest()


def _size_and_time(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except FileNotFoundError:
        return ()
    return status.st_size, status.st_mtime_ns


def _is_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1) == b"\x80"
