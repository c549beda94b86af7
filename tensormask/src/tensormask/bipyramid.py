"""The masks of chosen windows, from the pyramid of features (paper, sections 3.6 and 4; Fig. 6 and 7).

In a tensor bipyramid, level l has masks of 2^l V x 2^l V pixels at every 2^l-th place of the finest level. All levels
are brought to the finest resolution, fused with its features, and turned into masks by swap_align2nat with
lambda = 2^l. The variants without the bipyramid have masks of V x V pixels on every level.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tensormask.anchors import Locations
from tensormask.config import Config
from tensormask.head import Head
from tensormask.region import Region, whole
from tensormask.swap_align2nat import AlignedMasks, means_of_four

_STRIP = 32  # rows of the finest level that are fused at a time


@dataclass(frozen=True, eq=False)
class MaskPredictor:
    """Computes masks of windows, and only the features that these windows need.

    Attributes:
        config: which variant it is.
        head: has the mask branch.
        pyramid: p2 ... p7 of a batch, each (N, C, H_l, W_l).
    """

    config: Config
    head: Head
    pyramid: Sequence[Tensor]

    def at(self, locations: Locations) -> Iterator[tuple[Tensor, Tensor]]:
        """The mask logits of windows, those of one level and size together, a few at a time.

        Yields:
            Which of the locations, int64 (m,), and their logits, float32 (m, V', V'), where V' is the side of these
            windows in mask pixels. Row and column 0 are at the top left of the anchor's box.
        """
        if self.config.bipyramid_on:
            yield from self._bipyramid(locations)
            return
        for level in sorted(set(locations.level.tolist())):
            chosen = (locations.level == level).nonzero()[:, 0]
            touched = self._touched(locations[chosen], 1, whole(self.pyramid[level]).size)
            features = self._tower(level, touched)
            yield from self._level(locations, chosen, features, 1, touched, whole(self.pyramid[level]).size)

    def _bipyramid(self, locations: Locations) -> Iterator[tuple[Tensor, Tensor]]:
        size = whole(self.pyramid[0]).size
        levels = {level: (locations.level == level).nonzero()[:, 0] for level in sorted(set(locations.level.tolist()))}
        regions = {level: self._touched(locations[i], 2**level, size) for level, i in levels.items()}
        finest_region = None
        for region in regions.values():
            finest_region = region if finest_region is None else finest_region.joined(region)
        if finest_region is None:
            return
        finest_region = finest_region.grown(1, size)
        finest = self._tower(0, finest_region)
        for level, chosen in levels.items():
            region = regions[level]
            # The fused features have no name here, so that they are freed before those of the next level are made.
            yield from self._level(
                locations, chosen, self._fused(level, finest, finest_region, region), 2**level, region, size
            )

    def _fused(self, level: int, finest: Tensor, finest_region: Region, region: Region) -> Tensor:
        """g_l = relu(fuse(up(m_l) + m_0)) in a region of the finest level; m_0 is there in another one.

        Of the coarser levels only means of 2x2 neighbours are needed, so these are the result: as `AlignedMasks` takes
        them. It is made in strips, so that little but m_0 and the result takes memory.
        """
        between = int(level > 0)
        (height, width), size = region.size, whole(self.pyramid[0]).size
        coarse_region = region.grown(1, size).shrunk(2**level).grown(1, whole(self.pyramid[level]).size)
        coarse = self._tower(level, coarse_region) if level else finest
        shape = (*finest.shape[:2], height + between, width + between)
        result = torch.empty(shape, dtype=finest.dtype, device=finest.device, memory_format=torch.channels_last)
        step = shape[2] if torch.is_grad_enabled() else _STRIP
        for first in range(0, shape[2], step):
            last = min(first + step, shape[2])
            strip = Region(
                region.top + max(first - between, 0), region.left, min(region.top + last, region.bottom), region.right
            )
            around = strip.grown(1, size)
            inputs = around.of(finest, finest_region)
            other = self._enlarged(coarse, coarse_region, around, level) if level else inputs
            fused = strip.of(self.head.mask_fuse(inputs + other), around)
            if between:
                fused = means_of_four(fused)
            skipped = region.top + first - strip.top
            result[:, :, first:last] = fused[:, :, skipped : skipped + last - first]
        return result

    def _enlarged(self, coarse: Tensor, coarse_region: Region, region: Region, level: int) -> Tensor:
        """up(m_l) in a region of the finest level; m_l is there in a region of its own."""
        height, width = whole(self.pyramid[level]).size
        x = coarse.permute(0, 2, 3, 1)
        x = _interpolated(x, 2, region.left, region.right, 2**level, coarse_region.left, width)
        x = _interpolated(x, 1, region.top, region.bottom, 2**level, coarse_region.top, height)
        return x.permute(0, 3, 1, 2)

    def _tower(self, level: int, region: Region) -> Tensor:
        """m_l in a region."""
        features = self.pyramid[level]
        around = region.grown(self.head.num_convs, whole(features).size)
        return region.of(self.head.mask_subnet(around.of(features)), around)

    def _level(
        self, locations: Locations, chosen: Tensor, features: Tensor, scale: int, region: Region, size: tuple[int, int]
    ) -> Iterator[tuple[Tensor, Tensor]]:
        for anchor in range(len(self.head.mask_sizes)):
            own = chosen[locations.size[chosen] == anchor]
            if not len(own):
                continue
            weight, bias = self.head.mask_kernels(anchor)
            at = locations[own]
            if self.config.aligned_on:
                aligned = AlignedMasks(features, weight, bias, scale, region, size)
                for part, logits in aligned.at(at.image, at.y, at.x):
                    yield own[part], logits
            else:
                g = features.permute(0, 2, 3, 1)[at.image, at.y - region.top, at.x - region.left]
                side = self.head.mask_sizes[anchor]
                yield own, torch.addmm(bias.to(g.dtype), g, weight.to(g.dtype).t()).float().view(-1, side, side)

    def _touched(self, at: Locations, scale: int, size: tuple[int, int]) -> Region:
        """The features, of a map of this size, that these windows need."""
        reach = (max(self.head.mask_sizes) * scale + 1) // 2 + 1 if self.config.aligned_on else 0
        low = torch.stack([at.y, at.x]).amin(1) * scale - reach
        high = torch.stack([at.y, at.x]).amax(1) * scale + reach + 1
        (top, left), (bottom, right) = low.tolist(), high.tolist()
        return Region(top, left, bottom, right).grown(0, size)


def _interpolated(x: Tensor, axis: int, first: int, last: int, scale: int, origin: int, size: int) -> Tensor:
    """Values `first` to `last` of an axis enlarged by `scale`, bilinearly, as if its ends went on for ever.

    `x` has the values from `origin` on of the `size` that there are. Only the region is computed.
    """
    place = (torch.arange(first, last, device=x.device, dtype=torch.float32) + 0.5) / scale - 0.5
    low = place.clamp(min=0).floor()
    share = (place.clamp(min=0) - low).to(x.dtype).view(-1, *[1] * (x.dim() - axis - 1))
    near, far = low.long() - origin, (low.long() + 1).clamp(max=size - 1) - origin
    return x.index_select(axis, near).lerp(x.index_select(axis, far), share)
