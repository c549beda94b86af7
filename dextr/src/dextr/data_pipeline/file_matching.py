"""Which annotation belongs to which image, by the names of the files.

The stem of an annotation (its name without the last extension) is the stem of its image, or starts with it: `img0.jpg`
has `img0.png`, `img0_labels.png` or `img0_mask3.png`. If several images qualify, it is the one with the longest stem:
given `img1_a` and `img1`, `img1_a_labels` belongs to `img1_a`. Numbers are taken whole: `img10_labels` never belongs to
`img1`. Directories and extensions do not matter, so images in several directories need stems of their own.

(The original searches two sorted lists once; where `img1`, `img10` and `img2` have `_labels`, it loses `img1`. It goes
on from `img1` to `img10` where that has no image, and prefers `img1_labels` to `img1`.)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dextr.data_pipeline.image_files import PathLike
from dextr.errors import DataError


@dataclass(frozen=True)
class MatchedFiles:
    """Images with their annotations, and the files that are left over.

    Attributes:
        images: the images that have annotations, sorted.
        targets: for each image its annotations, at least one, sorted.
        unmatched_images: images without annotation, and all but the first of several with the same stem.
        unmatched_targets: annotations without image.
    """

    images: list[Path]
    targets: list[list[Path]]
    unmatched_images: list[Path]
    unmatched_targets: list[Path]

    def one_target_each(self) -> MatchedFiles:
        """The same with one annotation per image; the others become unmatched.

        It is the one of the image's own stem, else the last, which the original takes.

        Raises:
            DataError: the annotation of an image is in several directories under the same stem.
        """
        chosen = []
        for image, paths in zip(self.images, self.targets, strict=True):
            stem = image.stem if any(path.stem == image.stem for path in paths) else paths[-1].stem
            same = [path for path in paths if path.stem == stem]
            _check_one_folder(same)
            chosen.append(same[-1:])
        surplus = [path for paths, one in zip(self.targets, chosen, strict=True) for path in paths if path not in one]
        return MatchedFiles(self.images, chosen, self.unmatched_images, sorted([*self.unmatched_targets, *surplus]))


def match_files(image_paths: Iterable[PathLike], target_paths: Iterable[PathLike]) -> MatchedFiles:
    """Every annotation with the image of the longest stem that its own stem starts with.

    Raises:
        DataError: images in several directories have the same stem, and there is an annotation of it.
    """
    images = sorted(map(Path, image_paths))
    by_stem: dict[str, list[Path]] = {}
    for image in images:
        by_stem.setdefault(image.stem, []).append(image)
    found: dict[Path, list[Path]] = {}
    unmatched = []
    for target in sorted(map(Path, target_paths)):
        stem = next((prefix for prefix in _prefixes(target.stem) if prefix in by_stem), None)
        if stem is None:
            unmatched.append(target)
        else:
            _check_one_folder(by_stem[stem])
            found.setdefault(by_stem[stem][0], []).append(target)
    matched = [image for image in images if image in found]
    left_over = [image for image in images if image not in found]
    return MatchedFiles(matched, [found[image] for image in matched], left_over, unmatched)


def _check_one_folder(paths: Sequence[Path]) -> None:
    """Raises DataError where files of the same stem, which nothing else tells apart, are not in one folder."""
    for path in paths[1:]:
        if path.parent != paths[0].parent:
            raise DataError(
                f"{paths[0]} and {path} have the same name, by which annotations are matched to images; "
                "give each of them a name of its own, or narrow the pattern"
            )


def _prefixes(stem: str) -> Iterator[str]:
    """The beginnings of a stem, the longest first, but for those that end inside a number."""
    for length in range(len(stem), 0, -1):
        if not (stem[length - 1].isdigit() and stem[length : length + 1].isdigit()):
            yield stem[:length]
