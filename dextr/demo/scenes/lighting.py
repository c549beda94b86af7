"""Light on made-up objects: relief, shadows, highlights. Images and masks are float32 in 0..1."""

from __future__ import annotations

import cv2
import numpy as np

from .textures import Field, Image, colour, noise, pick


def blurred(field: Field, sigma: float) -> Field:
    """Gaussian blur; ``sigma`` in pixels."""
    return np.asarray(cv2.GaussianBlur(field, (0, 0), sigma), np.float32) if sigma > 0.2 else field


def light_direction(rng: np.random.Generator) -> Image:
    """Unit vector [x, y, z] towards the light, z out of the picture."""
    angle, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1.3)
    return np.array((np.cos(angle) * np.cos(height), np.sin(angle) * np.cos(height), np.sin(height)), np.float32)


def relief(rng: np.random.Generator, mask: Field) -> Field:
    """Height in pixels over a mask: a rounded or flat body, perhaps a raised rim and an embossed surface."""
    inside = (mask > 0.5).astype(np.uint8)
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    depth = max(float(distance.max()), 1.0)
    reach = depth * pick(rng, [0.1, 0.3, 1.0])
    edge = np.clip(distance / reach, 0, 1)
    height = np.sqrt(np.clip(1 - (1 - edge) ** 2, 0, 1)) * reach * rng.uniform(0.4, 1.2)
    if rng.random() < 0.3:
        rim = rng.uniform(0.05, 0.2) * depth
        height = height + rim * np.exp(-(((distance - rim) / (0.5 * rim)) ** 2))
    if rng.random() < 0.5:
        strength = rng.uniform(0.02, 0.25) * depth
        height = height + strength * noise(rng, mask.shape, max(mask.shape) / depth * rng.uniform(0.5, 3), 3)
    return blurred(height.astype(np.float32), rng.uniform(0.5, 2.5))


def shaded(rng: np.random.Generator, image: Image, mask: Field, light: Image) -> Image:
    """The image lit as if it lay on the mask's relief: diffuse light, perhaps a highlight and a dark or bright rim."""
    height = relief(rng, mask)
    gx, gy = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=0.125)
    norm = np.sqrt(gx * gx + gy * gy + 1)
    diffuse = np.clip((-gx * light[0] - gy * light[1] + light[2]) / norm, 0, None)
    ambient = rng.uniform(0.2, 0.8)
    lit = image * (ambient + (1 - ambient) * diffuse / max(float(light[2]), 0.3))[..., None]
    if rng.random() < 0.35:
        half = light + np.array((0, 0, 1), np.float32)
        half /= np.linalg.norm(half)
        shine = np.clip((-gx * half[0] - gy * half[1] + half[2]) / norm, 0, 1) ** rng.uniform(10, 80)
        lit = lit + rng.uniform(0.2, 0.9) * shine[..., None]
    if rng.random() < 0.3:
        inner = np.clip(1 - blurred(mask, rng.uniform(1, 4)), 0, 1)[..., None] * 2
        lit = lit + inner * rng.uniform(0, 0.7) * (colour(rng) - lit)
    return np.asarray(np.clip(lit, 0, 1), np.float32)


def dropped_shadow(rng: np.random.Generator, image: Image, mask: Field, light: Image) -> Image:
    """The image darkened where the mask keeps the light away: a contact shadow and a cast one."""
    size = float(np.sqrt(mask.sum()))
    length = size * rng.uniform(0, 0.3)
    move = np.array(((1, 0, -light[0] * length), (0, 1, -light[1] * length)), np.float32)
    cast = np.asarray(cv2.warpAffine(mask, move, mask.shape[::-1]), np.float32)
    dark = np.maximum(blurred(cast, size * rng.uniform(0.01, 0.12)), blurred(mask, size * rng.uniform(0.005, 0.05)))
    return np.asarray(image * (1 - rng.uniform(0.1, 0.8) * dark)[..., None], np.float32)


def uneven_light(rng: np.random.Generator, image: Image) -> Image:
    """Slow changes of the light over the whole picture, perhaps a shadow with an edge."""
    size = image.shape[:2]
    gain = 1 + pick(rng, [0.1, 0.5]) * (noise(rng, size, rng.uniform(0.5, 3), 2) - 0.5)
    if rng.random() < 0.2:
        field = noise(rng, size, rng.uniform(1, 4), 3)
        shadow = np.clip((field - np.quantile(field, rng.uniform(0.3, 0.8))) / 0.03 + 0.5, 0, 1)
        gain = gain * (1 - rng.uniform(0.2, 0.6) * shadow)
    return np.clip(image * gain[..., None], 0, 1).astype(np.float32)
