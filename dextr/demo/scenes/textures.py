"""Surfaces of made-up objects and backgrounds: RGB images, float32 in 0..1, of a given (height, width)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Field = NDArray[np.float32]
Size = tuple[int, int]


def pick(rng: np.random.Generator, options: Sequence[float], p: Sequence[float] | None = None) -> float:
    """One of the options as a plain float, which does not widen float32 arrays."""
    return float(rng.choice(options, p=p))


def noise(rng: np.random.Generator, size: Size, cells: float, octaves: int = 4, gain: float = 0.5) -> Field:
    """Fractal noise, 0..1: random grids of ``cells``, 2 * ``cells``, ... across, summed from coarse to fine."""
    longest = max(size)
    total: Field = np.zeros((3, 3), np.float32)
    for octave in range(octaves):
        count = min(cells * 2**octave, longest)
        grid = (int(count * size[0] / longest) + 3, int(count * size[1] / longest) + 3)
        total = enlarged(total, grid) + gain**octave * rng.random(grid, np.float32)
    return stretched(enlarged(total, size))


def enlarged(field: Field, size: Size) -> Field:
    """The field, smoothly interpolated, at a new (height, width)."""
    return np.asarray(cv2.resize(field, size[::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def stretched(field: Field) -> Field:
    """The field scaled to 0..1."""
    low, high = float(field.min()), float(field.max())
    return (field - low) / max(high - low, 1e-6)


def colour(rng: np.random.Generator) -> Image:
    """A colour as photos have them: mostly dull, sometimes strong; float32 (3,)."""
    saturation = rng.beta(1.2, 3.0) if rng.random() < 0.7 else rng.uniform(0.4, 1.0)
    hsv = np.array([[[rng.uniform(0, 360), saturation, rng.beta(1.3, 1.3)]]], np.float32)
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0], np.float32)


def palette(rng: np.random.Generator, count: int) -> Image:
    """``count`` colours, often close to each other; float32 (count, 3)."""
    base, spread = colour(rng), pick(rng, [0.08, 0.25, 1.0])
    return np.stack([np.clip(base + spread * (colour(rng) - base), 0, 1) for _ in range(count)])


def tinted(rng: np.random.Generator, field: Field, colours: int | None = None) -> Image:
    """The field 0..1 shown with a gradient of random colours."""
    stops = palette(rng, colours or int(rng.integers(2, 5)))
    at = np.linspace(0, len(stops) - 1, 1024)
    table = np.stack([np.interp(at, np.arange(len(stops)), stops[:, c]) for c in range(3)], axis=1).astype(np.float32)
    return table[(np.clip(field, 0, 1) * 1023).astype(np.int32)]


def coordinates(rng: np.random.Generator, size: Size) -> tuple[Field, Field]:
    """Turned and slightly warped pixel coordinates, in units of the longer side."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32) / max(size)
    angle, warp = rng.uniform(0, 2 * np.pi), pick(rng, [0.0, 0.03, 0.15])
    u, v = x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)
    if warp:
        u = u + warp * (noise(rng, size, 3, 3) - 0.5)
        v = v + warp * (noise(rng, size, 3, 3) - 0.5)
    return u.astype(np.float32), v.astype(np.float32)


def plain(rng: np.random.Generator, size: Size) -> Image:
    """One colour with a little unevenness."""
    uneven = (noise(rng, size, rng.uniform(1, 40), 3) - 0.5)[..., None] * pick(rng, [0.0, 0.05, 0.15])
    return np.clip(colour(rng) + uneven, 0, 1).astype(np.float32)


def gradient(rng: np.random.Generator, size: Size) -> Image:
    """A slow change between colours: skies, walls."""
    u, v = coordinates(rng, size)
    return tinted(rng, stretched(u + pick(rng, [0.0, 0.5]) * v * v))


def clouds(rng: np.random.Generator, size: Size) -> Image:
    """Fractal noise: stone, foliage, cloth, rust."""
    return tinted(rng, noise(rng, size, rng.uniform(1, 60), int(rng.integers(2, 7)), rng.uniform(0.4, 0.8)))


def stripes(rng: np.random.Generator, size: Size) -> Image:
    """Stripes, planks, wood and folds."""
    u, _ = coordinates(rng, size)
    phase = u * rng.uniform(2, 30) + pick(rng, [0.0, 2.0]) * noise(rng, size, 4, 4)
    wave = 0.5 + 0.5 * np.sin(2 * np.pi * phase) if rng.random() < 0.5 else np.mod(phase, 1.0)
    grain = noise(rng, size, 80, 2)
    return tinted(rng, stretched(wave + pick(rng, [0.0, 0.5]) * grain).astype(np.float32))


def tiles(rng: np.random.Generator, size: Size) -> Image:
    """Bricks, checks and dots."""
    u, v = coordinates(rng, size)
    count = rng.uniform(3, 20)
    row = np.floor(v * count)
    column = u * count * pick(rng, [0.5, 1.0]) + pick(rng, [0.0, 0.5]) * row
    fu, fv = np.mod(column, 1.0) - 0.5, np.mod(v * count, 1.0) - 0.5
    tone = np.mod(np.sin(row * 12.9 + np.floor(column) * 78.2) * 437.5, 1.0) * pick(rng, [0.2, 1.0])
    inside = np.hypot(fu, fv) < 0.35 if rng.random() < 0.4 else np.maximum(np.abs(fu), np.abs(fv)) < 0.45
    return tinted(rng, np.where(inside, 0.3 + 0.7 * tone, 0.0).astype(np.float32))


def cells(rng: np.random.Generator, size: Size) -> Image:
    """Irregular cells: gravel, scales, cracked ground, leaves."""
    seeds = np.full(size, 255, np.uint8)
    count = int(rng.choice([12, 60, 300, 900]))
    seeds[rng.integers(0, size[0], count), rng.integers(0, size[1], count)] = 0
    distance, labels = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5)
    tone = rng.random(int(labels.max()) + 1, np.float32)[labels]
    return tinted(rng, stretched(tone + rng.uniform(-1, 1) * stretched(np.asarray(distance, np.float32))))


KINDS: tuple[tuple[Callable[[np.random.Generator, Size], Image], float], ...] = (
    (plain, 3), (gradient, 2), (clouds, 3), (stripes, 1.2), (tiles, 0.7), (cells, 1),
)  # fmt: skip


def photo_patch(rng: np.random.Generator, size: Size, photo: NDArray[np.uint8]) -> Image:
    """A turned and scaled piece of a photo (mirrored at its borders), in its own or in changed colours."""
    scale, angle = np.exp(rng.uniform(-0.9, 1.0)), rng.uniform(-180, 180) if rng.random() < 0.5 else 0.0
    centre = rng.uniform(0.15, 0.85, 2) * photo.shape[1::-1]
    matrix = np.asarray(cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), angle, scale), np.float64)
    matrix[:, 2] += np.array(size[::-1]) / 2 - centre
    patch = cv2.warpAffine(photo, matrix, size[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    image = patch.astype(np.float32) / np.float32(255)
    choice = rng.random()
    if choice < 0.3:
        image = image[..., rng.permutation(3)]
    elif choice < 0.5:
        image = tinted(rng, image.mean(axis=2))
    gain, shift = rng.uniform(0.5, 1.4), rng.normal(0, 0.1)
    return np.asarray(np.clip((image - 0.5) * gain + 0.5 + shift, 0, 1), np.float32)


def surface(rng: np.random.Generator, size: Size, photos: Sequence[NDArray[np.uint8]], photo_share: float) -> Image:
    """One material: a piece of a photo with probability ``photo_share``, else a made-up one."""
    if photos and rng.random() < photo_share:
        return photo_patch(rng, size, photos[int(rng.integers(len(photos)))])
    weights = np.array([weight for _, weight in KINDS])
    return KINDS[int(rng.choice(len(KINDS), p=weights / weights.sum()))][0](rng, size)


def patchwork(rng: np.random.Generator, size: Size, photos: Sequence[NDArray[np.uint8]], parts: int) -> Image:
    """``parts`` materials side by side, as on real things: their borders sharp or soft, straight or irregular."""
    image = surface(rng, size, photos, 0.35)
    for _ in range(parts - 1):
        u, _ = coordinates(rng, size)
        field = u if rng.random() < 0.5 else noise(rng, size, rng.uniform(1, 6), 3)
        level, softness = np.quantile(field, rng.uniform(0.15, 0.85)), pick(rng, [0.004, 0.02, 0.15])
        share = np.clip((field - level) / softness + 0.5, 0, 1)[..., None]
        image = image * (1 - share) + surface(rng, size, photos, 0.35) * share
    return image.astype(np.float32)
