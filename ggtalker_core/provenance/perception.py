"""What the eye forgives and what the reader sees: visibility mask, local feature, folding into one tile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .config import FORMAT, EmbedConfig

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Plane = NDArray[Any]  # [H, W] float32

FINE_SIGMA, COARSE_SIGMA = 1.1, 5.0
WHITENING_PX = 15
CLIP = 3.0


def luma(frame: NDArray[np.uint8]) -> Plane:
    """[H, W, 3] sRGB to luma [H, W], 0..255."""
    import cv2

    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32)


def band_pass(plane: Plane) -> Plane:
    """Difference of two Gaussians: keeps the band of the carriers."""
    import cv2

    fine = cv2.GaussianBlur(plane, (0, 0), FINE_SIGMA)
    return fine - cv2.GaussianBlur(plane, (0, 0), COARSE_SIGMA)


def band_response(radius: NDArray[np.float32]) -> NDArray[Any]:
    """Gain of `band_pass` at spatial frequencies `radius` [cycles per tile]."""
    omega = 2 * np.pi * radius / FORMAT.tile_px
    return np.exp(-0.5 * (FINE_SIGMA * omega) ** 2) - np.exp(-0.5 * (COARSE_SIGMA * omega) ** 2)


def local_level(passed: Plane) -> Plane:
    """Local strength of a band-passed plane (+1), by which it is divided so that no edge outshouts the rest."""
    import cv2

    power = cv2.blur(passed * passed, (WHITENING_PX, WHITENING_PX))
    return np.sqrt(np.maximum(power, 0)) + 1.0


def feature(plane: Plane) -> Plane:
    """Luma [H, W] to the whitened, clipped feature that writer and reader correlate with."""
    passed = band_pass(plane)
    return np.clip(passed / local_level(passed), -CLIP, CLIP)


def fold(plane: Plane) -> Plane:
    """Sum of all tiles of a plane (padded with zeros), [P, P]."""
    import cv2

    tile = FORMAT.tile_px
    height, width = plane.shape
    tall, wide = -(-height // tile) * tile, -(-width // tile) * tile
    if (tall, wide) != (height, width):
        plane = cv2.copyMakeBorder(plane, 0, tall - height, 0, wide - width, cv2.BORDER_CONSTANT, value=0)
    return plane.reshape(tall // tile, tile, wide // tile, tile).sum((0, 2))


def visibility_mask(plane: Plane, config: EmbedConfig) -> Plane:
    """Amplitude [grey levels, rms] that hides at every pixel: more in texture, in the dark and in the light."""
    import cv2

    detail = plane - cv2.GaussianBlur(plane, (0, 0), 2.0)
    texture = np.sqrt(np.maximum(cv2.blur(detail * detail, (11, 11)), 0))
    mask = np.clip(config.floor_levels + config.texture_gain * texture, config.floor_levels, config.ceiling_levels)
    mask *= 1 + np.abs(plane - 120) / 300
    allowed = 255.0 * 10 ** (-config.budget_db / 20)  # rms
    level = float(np.sqrt(np.mean(mask * mask)))
    return mask * (config.strength * min(1.0, allowed / max(level, 1e-6)))
