"""Value noise in space: smooth, repeatable, without seams on a surface."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def value_noise(points: Array, wavelength_m: float, seed: int) -> Array:
    """Smooth noise of about that wavelength at points [N, 3]; mean 0, standard deviation near 1."""
    table = np.random.default_rng(seed).normal(size=(64, 64, 64))
    p = points / wavelength_m + 1000.0
    low = np.floor(p).astype(np.int64)
    f = p - low
    f = f * f * (3 - 2 * f)
    out = np.zeros(len(points))
    for corner in range(8):
        o = np.array([corner & 1, corner >> 1 & 1, corner >> 2 & 1])
        w = np.where(o, f, 1 - f).prod(1)
        at = (low + o) & 63
        out += w * table[at[:, 0], at[:, 1], at[:, 2]]
    return out * 1.7


def octaves(points: Array, wavelength_m: float, count: int, seed: int, gain: float = 0.6) -> Array:
    """Sum of `count` octaves, each half as long and `gain` times as strong; standard deviation near 1."""
    out, power = np.zeros(len(points)), 0.0
    for k in range(count):
        out += gain**k * value_noise(points, wavelength_m / 2**k, seed + k)
        power += gain ** (2 * k)
    return out / np.sqrt(power)
