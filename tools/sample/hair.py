"""Hair, brows and lashes: thin polylines rooted on the resting head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from geometry import unit
from noise import value_noise
from numpy.typing import NDArray
from paint import ramp

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Strands:
    """S hairs of K points in the space of the resting head, each rooted on a coarse triangle."""

    points: Array  # [S, K, 3]
    triangle: NDArray[np.int64]  # [S] coarse triangle of the root
    weights: Array  # [S, 3] barycentric weights of the root
    tone: Array  # [S] brightness

    def tangents(self) -> Array:
        """Unit direction at every point [S, K, 3]."""
        return unit(np.gradient(self.points, axis=1))


def roots_on(
    points: Array, faces: NDArray[np.int64], density: Array, count: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], Array, Array]:
    """About `count` points on triangles, drawn by area times density [F]: triangle, weights, positions."""
    corner = points[faces]
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1) * density
    triangle = rng.choice(len(faces), count, p=area / area.sum())
    a, b = np.sqrt(rng.random(count)), rng.random(count)
    weights = np.stack([1 - a, a * (1 - b), a * b], 1)
    return triangle, weights, (weights[..., None] * corner[triangle]).sum(1)


def _grow(
    root: Array, start: Array, flow: Array, length: Array, bend: float, count: int, sink: Array | float = 0.0
) -> Array:
    """Hairs that leave along `start` and turn towards `flow`, ever more towards it plus `sink`; [S, count, 3]."""
    out, direction, step = [root], start, (length / (count - 1))[:, None]
    for k in range(count - 1):
        direction = unit(direction + bend * (flow + sink * (k / count)))
        out.append(out[-1] + step * direction)
    return np.stack(out, 1)


def scalp_hair(points: Array, normals: Array, faces: NDArray[np.int64], mask: Array, count: int, seed: int) -> Strands:
    """Short hair, combed from a parting on the person's left towards the right and back. mask [F] in [0, 1]."""
    rng = np.random.default_rng(seed)
    triangle, weights, root = roots_on(points, faces, mask, count, rng)
    normal = unit((weights[..., None] * normals[faces[triangle]]).sum(1))
    height = ramp(root[:, 1], 0.03, 0.13)  # sides are short, the top is long
    front = ramp(root[:, 2], 0.02, 0.09) * height
    down = np.array([0.0, -1.0, -0.25])
    side = np.tanh((0.036 - root[:, 0]) / 0.012)[:, None]  # away from the parting
    combed = (
        side * np.array([-0.7, 0.0, 0.0])
        + np.array([0.0, 0.15, -0.55])
        + front[:, None] * np.array([-0.25, 0.45, 0.45])
    )
    combed = combed - (1 - side**2) * front[:, None] * np.array([0.6, -0.3, 0.0])  # nothing falls over the parting
    clump = np.stack([value_noise(root, 0.011, seed + k) for k in range(3)], 1)
    stray = rng.normal(size=root.shape)
    flow = down * (1 - height[:, None]) + combed * height[:, None] + 0.20 * clump + 0.10 * stray
    flow -= 0.85 * (flow * normal).sum(1, keepdims=True) * normal  # mostly along the head
    flow = unit(flow)
    length = (0.010 + 0.018 * height + 0.012 * front) * (0.75 + 0.5 * rng.random(count))
    start = unit(normal * (0.35 + 0.30 * height + 0.45 * front)[:, None] + 0.9 * flow)
    strands = _grow(
        root - 0.001 * normal, start, flow, length, 0.42, 9, sink=-1.1 * normal + np.array([0.0, -0.35, 0.0])
    )
    tone = 1 + 0.22 * value_noise(root, 0.006, seed + 9) + 0.12 * rng.normal(size=count)
    return Strands(strands, triangle, weights, np.clip(tone, 0.4, 1.8))


def brow_hair(
    points: Array, normals: Array, faces: NDArray[np.int64], density: Array, count: int, seed: int
) -> Strands:
    """Brows: hairs that rise at the inner end and lie down outwards."""
    rng = np.random.default_rng(seed)
    triangle, weights, root = roots_on(points, faces, density, count, rng)
    normal = unit((weights[..., None] * normals[faces[triangle]]).sum(1))
    outward = np.sign(root[:, :1]) * np.array([[1.0, 0.0, -0.45]])
    inner = 1 - ramp(np.abs(root[:, 0]), 0.012, 0.030)
    flow = (
        outward
        + np.array([0.0, 0.15, 0.0])
        + inner[:, None] * np.array([0.0, 0.7, 0.0])
        + 0.18 * rng.normal(size=root.shape)
    )
    flow = unit(flow - 0.9 * (flow * normal).sum(1, keepdims=True) * normal)
    length = 0.0056 * (0.7 + 0.6 * rng.random(count))
    strands = _grow(root, unit(flow + 0.25 * normal), flow, length, 0.3, 5)
    return Strands(strands, triangle, weights, np.clip(0.9 + 0.25 * rng.normal(size=count), 0.4, 1.5))


def lashes(lid: Array, closure: float, outward: float, upper: bool, count: int, seed: int) -> Array:
    """Lashes of one lid, [count, 5, 3], from its margin lid [L, 3] (inner to outer corner).

    `closure` of the eye in [0, 1] lays the upper ones down; `outward` is the sign of x towards the temple.
    """
    rng = np.random.default_rng(seed)
    s = np.linspace(0.08, 0.97, count) + rng.normal(scale=0.008, size=count)
    knots = np.linspace(0, 1, len(lid))
    root = np.stack([np.interp(s, knots, lid[:, k]) for k in range(3)], 1) + np.array([0.0, 0.0, 0.0004])
    fan = outward * (0.75 * s - 0.25)
    rise = (0.50 - 1.05 * closure) if upper else -0.55
    curl = (0.75 - 0.75 * closure) if upper else -0.15
    start = unit(np.stack([fan, np.full(count, rise), np.full(count, 0.85)], 1) + 0.10 * rng.normal(size=(count, 3)))
    flow = np.stack([fan, np.full(count, curl), np.full(count, 0.15)], 1)
    length = (
        (0.0075 if upper else 0.0040) * (0.55 + 0.45 * np.sin(np.clip(s, 0, 1) * 2.4)) * (0.8 + 0.4 * rng.random(count))
    )
    return _grow(root, start, flow, length, 0.35, 5)


def brow_density(p: Array) -> Array:
    """How many brow hairs grow at resting points p [N, 3]: an arc over each eye."""
    x = np.abs(p[:, 0])
    arc = 0.0585 + 0.0035 * np.sin(np.clip((x - 0.012) / 0.036, 0, 1) * np.pi * 0.62) - 0.10 * np.clip(x - 0.040, 0, 1)
    thick = np.interp(x, [0.010, 0.016, 0.034, 0.054], [0.0022, 0.0030, 0.0027, 0.0010])
    inside = (
        (0.35 + 0.65 * ramp(x, 0.012, 0.022))
        * ramp(x, 0.0105, 0.0145)
        * (1 - ramp(x, 0.050, 0.056))
        * ramp(p[:, 2], 0.05, 0.07)
    )
    return inside * np.exp(-(((p[:, 1] - arc) / thick) ** 2))
