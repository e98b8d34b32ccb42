"""A drawn face: what the networks see in tests, made of discs; nobody's picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def drawn_face(size: int, *, mouth_open: float = 0.3, seed: int = 0) -> NDArray[np.uint8]:
    """[size, size, 3]: head and shoulders of discs with soft rims, eyes, brows, nose, mouth, over a noisy ground."""
    y, x = (np.mgrid[0:size, 0:size] + 0.5) / size
    rng = np.random.default_rng(seed)
    coarse = rng.random((9, 9, 3)) * 60 + 70
    image = np.kron(coarse, np.ones((-(-size // 9), -(-size // 9), 1)))[:size, :size].copy()

    def disc(cx: float, cy: float, rx: float, ry: float, colour: tuple[int, int, int], soft: float = 0.06) -> None:
        distance = np.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2)
        cover = np.clip((1 - distance) / soft, 0, 1)[..., None]
        image[:] = image * (1 - cover) + np.array(colour) * cover

    disc(0.5, 1.15, 0.48, 0.35, (60, 80, 130))
    disc(0.5, 0.50, 0.25, 0.35, (70, 45, 30))
    disc(0.5, 0.53, 0.21, 0.29, (215, 170, 145), 0.15)
    for side in (-1, 1):
        disc(0.5 + side * 0.085, 0.47, 0.045, 0.020, (245, 245, 245), 0.3)
        disc(0.5 + side * 0.085, 0.47, 0.018, 0.018, (50, 35, 25), 0.3)
        disc(0.5 + side * 0.088, 0.41, 0.060, 0.011, (70, 45, 30), 0.5)
    disc(0.5, 0.56, 0.022, 0.055, (195, 145, 125), 0.8)
    disc(0.5, 0.61, 0.040, 0.018, (185, 130, 115), 0.6)
    disc(0.5, 0.69, 0.075, 0.022 + 0.05 * mouth_open, (175, 80, 80), 0.3)
    disc(0.5, 0.69, 0.060, 0.002 + 0.045 * mouth_open, (60, 20, 20), 0.3)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
