"""What a camera does to a picture: blur, noise, tone, grey film, JPEG."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from .lighting import blurred
from .textures import Image, pick


def motion_blurred(rng: np.random.Generator, image: Image) -> Image:
    """Blur along a line of 3 to 9 pixels."""
    length = int(rng.integers(3, 10))
    kernel = np.zeros((length, length), np.float32)
    angle, middle = rng.uniform(0, np.pi), (length - 1) / 2
    ends = [(round(middle * (1 + s * np.cos(angle))), round(middle * (1 + s * np.sin(angle)))) for s in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.float32)


def toned(rng: np.random.Generator, image: Image) -> Image:
    """Gamma, contrast, white balance and saturation; one picture in six becomes grey."""
    image = np.clip(image, 1e-4, 1) ** np.exp(rng.normal(0, 0.3))
    image = (image - 0.5) * np.exp(rng.normal(0, 0.2)) + 0.5 + rng.normal(0, 0.06)
    grey = image.mean(axis=2, keepdims=True)
    saturation = 0.0 if rng.random() < 1 / 6 else np.exp(rng.normal(0, 0.25))
    balance = np.exp(rng.normal(0, 0.06, 3)) if saturation else np.ones(3)
    return np.asarray(np.clip((grey + (image - grey) * saturation) * balance, 0, 1), np.float32)


def noisy(rng: np.random.Generator, image: Image) -> Image:
    """Sensor noise, coarse or fine, coloured or not."""
    strength = pick(rng, [0.0, 0.01, 0.03, 0.08], p=[0.3, 0.4, 0.2, 0.1])
    if not strength:
        return image
    grain = rng.normal(0, strength, (*image.shape[:2], int(rng.choice([1, 3])))).astype(np.float32)
    if rng.random() < 0.4:
        grain = blurred(grain, 0.8).reshape(grain.shape) * 2
    return np.asarray(np.clip(image + grain, 0, 1), np.float32)


def photographed(rng: np.random.Generator, image: Image) -> NDArray[np.uint8]:
    """The picture as a camera would store it: (h, w, 3) RGB uint8."""
    image = toned(rng, image)
    if rng.random() < 0.08:
        image = motion_blurred(rng, image)
    image = blurred(image, pick(rng, [0.0, 0.5, 0.8, 1.2, 2.0], p=[0.3, 0.25, 0.2, 0.15, 0.1]))
    if rng.random() < 0.15:
        blur = cv2.GaussianBlur(image, (0, 0), 1.2)
        image = np.clip(image + rng.uniform(0.3, 1.5) * (image - blur), 0, 1)
    stored = (noisy(rng, image) * 255 + 0.5).astype(np.uint8)
    if rng.random() < 0.6:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 96))]
        data = cv2.imencode(".jpg", stored[..., ::-1], quality)[1]
        stored = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1]
    return np.ascontiguousarray(stored, dtype=np.uint8)
