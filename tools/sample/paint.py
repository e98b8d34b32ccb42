"""The colours of the made-up person, painted in the space of the resting head: skin, lips, eyes, teeth, cloth."""

from __future__ import annotations

import numpy as np
from geometry import FineMesh
from noise import octaves, value_noise
from numpy.typing import NDArray

Array = NDArray[np.float64]

MATERIALS = ("skin", "eye", "teeth", "mouth", "cloth")


def linear(r: float, g: float, b: float) -> Array:
    """sRGB bytes to linear light."""
    v = np.array([r, g, b]) / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


SKIN, LIPS, FLUSH, SHADE = linear(214, 168, 142), linear(166, 84, 82), linear(206, 128, 108), linear(164, 116, 100)
SCLERA, VEIN, IRIS, LIMBUS = linear(226, 222, 216), linear(205, 150, 140), linear(96, 116, 104), linear(34, 40, 38)
TEETH, GUM, MOUTH, TONGUE = linear(226, 218, 200), linear(150, 72, 70), linear(96, 34, 32), linear(168, 84, 80)
HAIR, CLOTH = linear(62, 44, 32), linear(46, 66, 84)


def ramp(x: Array, low: float, high: float) -> Array:
    """0 at `low`, 1 at `high`, smooth between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(base: Array, color: Array, amount: Array) -> Array:
    """Blend colours [N, 3] towards `color` by amount [N]."""
    return base + np.clip(amount, 0, 1)[:, None] * (color - base)


def spot(p: Array, center: tuple[float, float, float], radius: tuple[float, float, float]) -> Array:
    """A soft blob, mirrored to both sides of the face."""
    q = np.stack([np.abs(p[:, 0]), p[:, 1], p[:, 2]], 1)
    return np.exp(-(((q - np.array(center)) / np.array(radius)) ** 2).sum(1))


def skin(p: Array, lips: Array, scalp: Array) -> Array:
    """Skin of the face, ears and neck at resting points p [N, 3]; `lips` and `scalp` [N] are soft masks."""
    c = np.tile(SKIN, (len(p), 1))
    flush = 0.36 * spot(p, (0.043, 0.0, 0.09), (0.020, 0.020, 0.05)) + 0.5 * spot(
        p, (0.0, 0.0, 0.125), (0.014, 0.014, 0.02)
    )
    flush += 0.35 * spot(p, (0.083, 0.02, 0.0), (0.012, 0.04, 0.03)) + 0.25 * spot(
        p, (0.0, -0.062, 0.105), (0.018, 0.012, 0.03)
    )
    c = mix(c, FLUSH, flush * (1 + 0.15 * octaves(p, 0.012, 3, 1)))
    c = mix(c, SHADE, 0.32 * spot(p, (0.030, 0.034, 0.098), (0.017, 0.010, 0.02)))  # around the eyes
    jaw = ramp(-p[:, 1], 0.005, 0.035) * ramp(p[:, 2], 0.03, 0.07) * (1 - 0.7 * lips)
    stubble = np.clip(0.35 + 0.6 * value_noise(p, 0.0013, 40), 0, 1) * jaw
    c = mix(c, linear(128, 100, 88), 0.20 * stubble)
    c *= (1 + 0.030 * octaves(p, 0.03, 4, 2) + 0.022 * octaves(p, 0.0035, 3, 7))[:, None]
    c *= 1 + 0.012 * np.stack([octaves(p, 0.008, 2, 20 + i) for i in range(3)], 1)
    freckles = ramp(value_noise(p, 0.0042, 31), 2.5, 3.1) * ramp(p[:, 2], 0.05, 0.09)
    c = mix(c, SHADE, 0.45 * freckles)
    lip = mix(np.tile(LIPS, (len(p), 1)), FLUSH, 0.25 + 0.12 * octaves(p * np.array([3.0, 0.6, 1.0]), 0.004, 3, 50))
    c = c + (0.85 * lips)[:, None] * (lip - c)
    return mix(c, HAIR * 1.15, 0.93 * scalp)


def eye(p: Array, center: Array, seed: int) -> Array:
    """Eyeball with iris and pupil about the resting line of sight (+z)."""
    d = p - center
    across = np.hypot(d[:, 0], d[:, 1])
    angle = np.arctan2(d[:, 1], d[:, 0])
    c = mix(np.tile(SCLERA, (len(p), 1)), VEIN, 0.5 * ramp(across, 0.008, 0.014) + 0.04 * octaves(p, 0.003, 3, seed))
    circle = np.stack([np.cos(angle), np.sin(angle), across * 40], 1)
    fibres = octaves(circle * np.array([1.0, 1.0, 0.25]), 0.11, 3, seed + 5)
    iris = np.tile(IRIS, (len(p), 1)) * (1 + 0.33 * fibres)[:, None]
    iris = mix(iris, linear(120, 96, 58), 0.7 * (1 - ramp(across, 0.0022, 0.0042)))
    iris = mix(iris, LIMBUS, ramp(across, 0.0046, 0.0060))
    c = mix(c, iris, 1 - ramp(across, 0.0056, 0.0063))
    return mix(c, linear(10, 10, 11), 1 - ramp(across, 0.0021, 0.0026))


def teeth(p: Array) -> Array:
    """Ivory, divided into teeth by darker gaps, gums towards the roots."""
    along = np.arctan2(p[:, 0], p[:, 2] - 0.055) * 0.045  # metres along the arch
    gap = np.abs((along / 0.0078) % 1.0 - 0.5)
    c = np.tile(TEETH, (len(p), 1)) * (1 - 0.30 * ramp(gap, 0.40, 0.5))[:, None]
    return c * (1 + 0.02 * octaves(p, 0.004, 2, 60))[:, None]


def cloth(p: Array) -> Array:
    """A knitted sweater with folds in its brightness."""
    knit = np.sin(p[:, 0] * 1500) * np.sin(p[:, 1] * 1100 + 0.6 * np.sin(p[:, 0] * 750))
    return np.tile(CLOTH, (len(p), 1)) * (1 + 0.10 * knit + 0.10 * octaves(p, 0.05, 3, 70))[:, None]


def soften(values: Array, faces: NDArray[np.int64], times: int) -> Array:
    """Average a per-vertex mask with its neighbours, `times` times."""
    for _ in range(times):
        total, count = np.zeros_like(values), np.zeros_like(values)
        for a, b in ((0, 1), (1, 2), (2, 0), (1, 0), (2, 1), (0, 2)):
            np.add.at(total, faces[:, a], values[faces[:, b]])
            np.add.at(count, faces[:, a], 1)
        values = 0.5 * values + 0.5 * total / np.maximum(count, 1)
    return values


def spread(mesh: FineMesh, values: Array) -> Array:
    """A per-coarse-vertex value at the fine vertices."""
    return (mesh.weights * values[mesh.corners]).sum(1)
