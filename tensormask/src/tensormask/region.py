"""Rectangles of a feature map: the part of it that is needed."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Region:
    """Rows `top` to `bottom` and columns `left` to `right`, without the last ones."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.bottom - self.top, self.right - self.left

    @property
    def sides(self) -> tuple[int, int, int, int]:
        """Top, left, bottom and right."""
        return self.top, self.left, self.bottom, self.right

    def grown(self, by: int, inside: tuple[int, int]) -> Region:
        """With `by` more on each side, but within a map of this height and width."""
        height, width = inside
        return Region(
            max(self.top - by, 0), max(self.left - by, 0), min(self.bottom + by, height), min(self.right + by, width)
        )

    def shrunk(self, factor: int) -> Region:
        """The smallest region of a map, `factor` times smaller, that covers this one."""
        return Region(self.top // factor, self.left // factor, -(-self.bottom // factor), -(-self.right // factor))

    def joined(self, other: Region) -> Region:
        """The smallest region that covers both."""
        return Region(
            min(self.top, other.top),
            min(self.left, other.left),
            max(self.bottom, other.bottom),
            max(self.right, other.right),
        )

    def of(self, x: Tensor, origin: Region | None = None) -> Tensor:
        """This part of a map (..., H, W), or of its region `origin`."""
        top, left = (0, 0) if origin is None else (origin.top, origin.left)
        return x[..., self.top - top : self.bottom - top, self.left - left : self.right - left]


def whole(x: Tensor) -> Region:
    """All of a map (..., H, W)."""
    return Region(0, 0, x.shape[-2], x.shape[-1])
