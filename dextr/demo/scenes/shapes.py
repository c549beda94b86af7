"""Outlines of made-up objects.

A shape is a list of polygons, each an (N, 2) float array of [x, y] in a unit frame of about -1..1; their union is the
object. ``random_shape`` draws one of many kinds, deforms it, and ``rasterise`` turns it into an anti-aliased mask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

Polygon = NDArray[np.float64]
Shape = list[Polygon]
Mask = NDArray[np.float32]

SUBPIXEL_BITS = 4


def circle_angles(count: int = 160) -> NDArray[np.float64]:
    """``count`` angles round the circle, in radians."""
    return np.linspace(0, 2 * np.pi, count, endpoint=False)


def polar(radius: NDArray[np.float64]) -> Polygon:
    """Polygon of the radii over equally spaced angles."""
    angles = circle_angles(len(radius))
    return np.stack((radius * np.cos(angles), radius * np.sin(angles)), axis=1)


def superellipse(rng: np.random.Generator) -> Shape:
    """Ellipses, and boxes with more or less rounded corners."""
    angles = circle_angles()
    power = 1.0 if rng.random() < 0.6 else rng.uniform(0.1, 0.8)
    x, y = np.cos(angles), np.sin(angles)
    points = np.stack((np.sign(x) * np.abs(x) ** power, np.sign(y) * np.abs(y) ** power), axis=1)
    return [points * (1.0, rng.uniform(0.35, 1.0))]


def blob(rng: np.random.Generator) -> Shape:
    """A radius that is a sum of a few waves: pebbles, leaves, amoebae."""
    angles = circle_angles()
    decay = rng.uniform(0.7, 1.6)
    radius = np.ones_like(angles)
    for wave in range(2, 9):
        radius += rng.normal(0, 0.3) / wave**decay * np.cos(wave * angles + rng.uniform(0, 6.3))
    return [polar(np.maximum(radius, 0.15))]


def polygon(rng: np.random.Generator) -> Shape:
    """Irregular polygons of 3 to 9 corners, convex or not."""
    corners = int(rng.integers(3, 10))
    angles = np.sort(circle_angles(corners) + rng.uniform(-0.4, 0.4, corners) * 2 * np.pi / corners)
    radius = rng.uniform(rng.choice([0.35, 0.8]), 1.0, corners)
    return [np.stack((radius * np.cos(angles), radius * np.sin(angles)), axis=1)]


def star(rng: np.random.Generator) -> Shape:
    """Stars, flowers and cogs: a wave of the radius with sharp or round tips."""
    angles = circle_angles(360)
    wave = 0.5 + 0.5 * np.cos(int(rng.integers(3, 16)) * angles)
    depth = rng.uniform(0.1, 0.65)
    return [polar(1 - depth * (1 - wave ** rng.uniform(0.4, 2.5)))]


def spline(rng: np.random.Generator, knots: int, spread: float) -> Polygon:
    """A smooth open curve that wanders through ``knots`` random steps."""
    steps = np.cumsum(rng.normal(0, spread, knots)) + rng.uniform(0, 6.3)
    path = np.cumsum(np.stack((np.cos(steps), np.sin(steps)), axis=1), axis=0)
    path = np.vstack((np.zeros((1, 2)), path)) / knots
    fine = np.linspace(0, knots, 12 * knots)
    curve = np.stack([np.interp(fine, np.arange(knots + 1), path[:, axis]) for axis in (0, 1)], axis=1)
    kernel = np.hanning(15)
    padded = np.pad(curve, ((7, 7), (0, 0)), mode="edge")
    return np.stack([np.convolve(padded[:, axis], kernel / kernel.sum(), "valid") for axis in (0, 1)], axis=1)


def ribbon(curve: Polygon, width: NDArray[np.float64]) -> Shape:
    """The band of the given half widths round a curve: one quadrangle for each step and a disc for each point."""
    tangent = np.gradient(curve, axis=0)
    length = np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    normal = tangent[:, ::-1] / length * (-1, 1) * width[:, None]
    left, right = curve + normal, curve - normal
    quads = [np.stack((left[i], left[i + 1], right[i + 1], right[i])) for i in range(len(curve) - 1)]
    disc = polar(np.ones(16))
    return quads + [disc * w + centre for centre, w in zip(curve, width, strict=True)][::3]


def tube(rng: np.random.Generator) -> Shape:
    """Snakes, branches, cables: a band of changing width along a curve."""
    curve = spline(rng, int(rng.integers(3, 9)), rng.uniform(0.1, 0.9))
    along = np.linspace(0, 1, len(curve))
    width = rng.uniform(0.03, 0.14) * (1 + rng.uniform(-0.9, 0.9) * (along - 0.5) + 0.3 * np.sin(along * 9))
    return ribbon(curve, np.maximum(width, 0.02))


def lathe(rng: np.random.Generator) -> Shape:
    """Vases, bottles, rockets, towers, lamps: a profile mirrored at an axis."""
    knots = int(rng.integers(3, 9))
    heights = np.sort(np.r_[-1, rng.uniform(-1, 1, knots - 2), 1])
    profile = rng.uniform(0.08, 0.75, knots) * rng.uniform(0.5, 1.2)
    fine = np.linspace(-1, 1, 80)
    width = np.interp(fine, heights, profile)
    if rng.random() < 0.6:
        sigma = rng.uniform(1, 6)
        smooth = cv2.GaussianBlur(width[:, None], (1, 0), 0, None, sigma, cv2.BORDER_REPLICATE)
        width = np.asarray(smooth, np.float64)[:, 0]
    elif rng.random() < 0.5:
        width = profile[np.searchsorted(heights, fine, side="left").clip(0, knots - 1)]
    return [np.vstack((np.stack((width, fine), axis=1), np.stack((-width, fine), axis=1)[::-1]))]


def limb(rng: np.random.Generator, start: NDArray[np.float64], angle: float, length: float, width: float) -> Shape:
    """A tapering limb with one joint."""
    bend = angle + rng.normal(0, 0.6)
    knee = start + length / 2 * np.array((np.cos(angle), np.sin(angle)))
    end = knee + length / 2 * np.array((np.cos(bend), np.sin(bend)))
    curve = np.vstack((np.linspace(start, knee, 6)[:-1], np.linspace(knee, end, 6)))
    return ribbon(curve, np.linspace(width, width * rng.uniform(0.3, 0.9), len(curve)))


def animal(rng: np.random.Generator) -> Shape:
    """A body with head, limbs and perhaps tail and ears."""
    body_height = rng.uniform(0.22, 0.5)
    body = blob(rng)[0] * (0.6, body_height)
    parts: Shape = [body]
    head_at = np.array((rng.uniform(0.55, 0.85), -rng.uniform(0.1, 0.7)))
    head = rng.uniform(0.18, 0.4)
    parts += [blob(rng)[0] * (head, head * rng.uniform(0.7, 1.1)) + head_at]
    parts += limb(rng, np.array((0.4, 0.0)), float(np.arctan2(head_at[1], head_at[0] - 0.4)), 0.5, body_height * 0.6)
    for side in (-0.5, -0.3, 0.3, 0.5)[: int(rng.integers(2, 5))]:
        parts += limb(rng, np.array((side, 0.1)), 1.57 + rng.normal(0, 0.35), rng.uniform(0.5, 1.2), 0.11)
    if rng.random() < 0.6:
        parts += limb(rng, np.array((-0.5, -0.1)), 3.14 + rng.normal(0, 0.8), rng.uniform(0.5, 1.1), 0.06)
    for _ in range(int(rng.integers(0, 3))):
        parts += [polygon(rng)[0] * head * 0.5 + head_at + (rng.uniform(-0.15, 0.15), -head * 0.9)]
    return parts


def bust(rng: np.random.Generator) -> Shape:
    """Head, neck, shoulders and arms, cut by a straight lower edge."""
    head_width = rng.uniform(0.2, 0.34)
    head_at = np.array((rng.normal(0, 0.08), -0.65))
    angles = circle_angles(60)
    parts: Shape = [np.stack((np.cos(angles), 1.3 * np.sin(angles)), axis=1) * head_width + head_at]
    if rng.random() < 0.6:
        hair = blob(rng)[0] * head_width * rng.uniform(0.9, 1.3)
        parts += [hair + head_at + (0, -head_width * rng.uniform(0.1, 0.7))]
    shoulder, neck = rng.uniform(0.5, 0.95), head_width * rng.uniform(0.5, 0.8)
    top = rng.uniform(-0.35, -0.1)
    right = [(neck, -0.6), (neck, top - 0.05), (shoulder * 0.8, top), (shoulder, top + 0.3), (shoulder, 1.0)]
    parts += [np.array(right + [(-x * rng.uniform(0.9, 1.0), y) for x, y in reversed(right)])]
    for side in (-1, 1):
        if rng.random() < 0.5:
            start = np.array((side * shoulder * 0.85, top + 0.2))
            parts += limb(rng, start, 1.57 + side * rng.uniform(-1.2, 0.8), rng.uniform(0.8, 1.6), 0.17)
    return parts


def union(rng: np.random.Generator) -> Shape:
    """Two to four simple shapes that overlap."""
    parts: Shape = []
    for _ in range(int(rng.integers(2, 5))):
        kind = SIMPLE[int(rng.integers(len(SIMPLE)))]
        parts += [p * rng.uniform(0.3, 0.8) + rng.uniform(-0.45, 0.45, 2) for p in turned(kind(rng), rng)]
    return parts


def handled(rng: np.random.Generator) -> Shape:
    """A vessel with a ring-shaped handle: cups, cans, bags."""
    angles = np.linspace(-np.pi / 2, np.pi / 2, 24)
    radius = np.array((rng.uniform(0.25, 0.7), rng.uniform(0.25, 0.6)))
    curve = np.stack((np.cos(angles), np.sin(angles)), axis=1) * radius + (0.45, rng.uniform(-0.3, 0.3))
    return lathe(rng) + superellipse(rng) + ribbon(curve, np.full(24, rng.uniform(0.05, 0.12)))


SIMPLE: tuple[Callable[[np.random.Generator], Shape], ...] = (superellipse, blob, polygon, star, lathe)
KINDS: tuple[tuple[Callable[[np.random.Generator], Shape], float], ...] = (
    (superellipse, 5), (blob, 4), (polygon, 3), (star, 2), (tube, 1.2), (lathe, 3), (animal, 2.5), (bust, 2.5),
    (union, 3), (handled, 1.2),
)  # fmt: skip


def turned(shape: Sequence[Polygon], rng: np.random.Generator, most: float = np.pi) -> Shape:
    """The shape turned by up to ``most`` radians, mirrored or not, and squeezed along a random direction."""
    angle = rng.uniform(-most, most)
    turn = np.array(((np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))))
    stretch = np.diag((rng.choice((-1.0, 1.0)) * np.exp(rng.normal(0, 0.2)), np.exp(rng.normal(0, 0.2))))
    return [p @ stretch @ turn.T for p in shape]


def random_shape(rng: np.random.Generator) -> Shape:
    """A shape of a random kind, turned and scaled so that its longer side goes from -1 to 1."""
    weights = np.array([weight for _, weight in KINDS])
    kind = KINDS[int(rng.choice(len(KINDS), p=weights / weights.sum()))][0]
    upright = kind in (lathe, bust, animal, handled) and rng.random() < 0.7
    shape = turned(kind(rng), rng, 0.25 if upright else np.pi)
    points = np.vstack(shape)
    low, high = points.min(axis=0), points.max(axis=0)
    return [(p - (low + high) / 2) / (max(high - low) / 2) for p in shape]


def rasterise(shape: Sequence[Polygon], centre: Sequence[float], radius: float, size: tuple[int, int]) -> Mask:
    """Anti-aliased mask, 0..1, float32 of ``size`` (height, width), of the shape's union at ``centre`` [x, y]."""
    factor = 2
    mask = np.zeros((size[0] * factor, size[1] * factor), np.uint8)
    for part in shape:
        pixels = (part * radius + centre) * factor - 0.5
        cv2.fillPoly(mask, [np.round(pixels * 2**SUBPIXEL_BITS).astype(np.int32)], 255, cv2.LINE_AA, SUBPIXEL_BITS)
    small = cv2.resize(mask, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    return small.astype(np.float32) / np.float32(255)
