"""Which annotation belongs to which image, by the names of the files.

The stem of an annotation (its name without the last extension) is the stem of its image, or starts with it: `img0.jpg`
has `img0.png`, `img0_labels.png` or `img0_mask3.png`. If several images qualify, it is the one with the longest stem:
given `img1` and `img10`, `img10_labels` belongs to `img10`. Directories and extensions do not matter.

(The original searches two sorted lists once and loses `img1` in this example.)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dextr.data_pipeline.image_files import PathLike


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
        """The same with one annotation per image, the last, which the original takes; the others become unmatched."""
        surplus = [path for paths in self.targets for path in paths[:-1]]
        unmatched = sorted([*self.unmatched_targets, *surplus])
        return MatchedFiles(self.images, [paths[-1:] for paths in self.targets], self.unmatched_images, unmatched)


def match_files(image_paths: Iterable[PathLike], target_paths: Iterable[PathLike]) -> MatchedFiles:
    """Every annotation with the image of the longest stem that its own stem starts with."""
    images = sorted(map(Path, image_paths))
    by_stem: dict[str, Path] = {}
    for image in images:
        by_stem.setdefault(image.stem, image)
    found: dict[Path, list[Path]] = {}
    unmatched = []
    for target in sorted(map(Path, target_paths)):
        prefixes = (target.stem[:length] for length in range(len(target.stem), 0, -1))
        stem = next((prefix for prefix in prefixes if prefix in by_stem), None)
        if stem is None:
            unmatched.append(target)
        else:
            found.setdefault(by_stem[stem], []).append(target)
    matched = [image for image in images if image in found]
    left_over = [image for image in images if image not in found]
    return MatchedFiles(matched, [found[image] for image in matched], left_over, unmatched)
