"""Fine meshes: the head's triangles cut up and rounded, and a torso to carry it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FineMesh:
    """Triangles of a coarse mesh cut into n^2 each; a fine vertex is a mean of three coarse ones."""

    corners: NDArray[np.int64]  # [v, 3] coarse vertices
    weights: Array  # [v, 3]
    faces: NDArray[np.int32]  # [f, 3] into the fine vertices
    origin: NDArray[np.int64]  # [v] coarse triangle of each fine vertex

    def points(self, coarse: Array, normals: Array, roundness: float = 0.6) -> tuple[Array, Array]:
        """Fine vertices and unit normals; flat triangles bulge to meet their normals (Phong tessellation, 2008)."""
        p, n = coarse[self.corners], normals[self.corners]  # [v, 3, 3]
        w = self.weights[..., None]
        flat = (w * p).sum(1)
        lifted = flat[:, None] - ((flat[:, None] - p) * n).sum(-1, keepdims=True) * n  # onto the three tangent planes
        return (1 - roundness) * flat + roundness * (w * lifted).sum(1), unit((w * n).sum(1))


def unit(v: Array) -> Array:
    """Vectors of length one."""
    return v / np.maximum(np.linalg.norm(v, axis=-1, keepdims=True), 1e-12)


def vertex_normals(points: Array, faces: NDArray[np.int64]) -> Array:
    """Area-weighted unit normals [V, 3]."""
    corner = points[faces]
    cross = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    out = np.stack([np.bincount(faces.ravel(), np.repeat(cross[:, i], 3), len(points)) for i in range(3)], 1)
    return unit(out)


def _pattern(n: int) -> tuple[Array, NDArray[np.int32]]:
    """Barycentric grid of a triangle with n segments a side, and its n^2 triangles."""
    rows = [(i, j) for i in range(n + 1) for j in range(n + 1 - i)]
    place = {key: k for k, key in enumerate(rows)}
    weights = np.array([[n - i - j, i, j] for i, j in rows]) / n
    faces = list[tuple[int, int, int]]()
    for i, j in rows:
        if i + j < n:
            faces.append((place[i, j], place[i + 1, j], place[i, j + 1]))
        if i + j < n - 1:
            faces.append((place[i + 1, j], place[i + 1, j + 1], place[i, j + 1]))
    return weights, np.array(faces, np.int32)


def subdivide(points: Array, faces: NDArray[np.int64], spacing_m: float) -> FineMesh:
    """Cut every triangle so that its longest side is split into pieces of about `spacing_m`."""
    corner = points[faces]
    longest = np.linalg.norm(corner - np.roll(corner, 1, 1), axis=2).max(1)
    segments = np.array([2, 3, 4, 6, 8, 12, 16])
    pieces = segments[np.searchsorted(segments, np.clip(longest / spacing_m, 1, 16))]
    parts = list[tuple[NDArray[np.int64], Array, NDArray[np.int32], NDArray[np.int64]]]()
    start = 0
    for n in segments:
        own = np.flatnonzero(pieces == n)
        if not len(own):
            continue
        weights, pattern = _pattern(int(n))
        k = len(weights)
        offsets = start + k * np.arange(len(own), dtype=np.int32)
        parts.append((
            np.repeat(faces[own], k, 0), np.tile(weights, (len(own), 1)),
            (offsets[:, None, None] + pattern[None]).reshape(-1, 3).astype(np.int32), np.repeat(own, k),
        ))  # fmt: skip
        start += k * len(own)
    columns = list(zip(*parts))
    return FineMesh(*(np.concatenate(c) for c in columns))  # type: ignore[arg-type]


def torso(ring_y: float = -0.075, around: int = 96, down: int = 60) -> tuple[Array, NDArray[np.int64]]:
    """Neck opening, shoulders and chest in head axes: a loft of flattened ellipses. Vertices [V, 3], faces [F, 3]."""
    angle = np.linspace(0, 2 * np.pi, around, endpoint=False)  # 0 = front, pi/2 = the person's left
    t = np.linspace(0, 1, down)[:, None]
    front, side = np.cos(angle)[None], np.sin(angle)[None]

    def ease(x: Array) -> Array:
        x = np.clip(x, 0, 1)
        return x * x * (3 - 2 * x)

    out = ease(t / 0.62)
    half_x = 0.0572 + 0.155 * out**1.05
    half_z = 0.0555 + 0.062 * ease(t / 0.75)
    power = 1 - 0.22 * ease(t / 0.6)  # rounder than an ellipse at the shoulders
    x = half_x * np.sign(side) * np.abs(side) ** power
    z = half_z * np.sign(front) * np.abs(front) ** power - 0.010 - 0.018 * ease(t / 0.5)
    edge = ring_y - 0.020 * front - 0.004  # the opening sits lower in front
    fall = 0.052 * np.clip(t / 0.5, 0, 1) ** 1.1 + 0.42 * np.clip((t - 0.36) / 0.64, 0, 1) ** 1.4
    chest = 0.020 * ease((t - 0.15) / 0.4) * np.clip(front, 0, 1) ** 2
    y = edge - fall * (1 + 0.35 * np.abs(front) ** 1.5 * (1 - ease(t / 0.5)))
    rim = np.stack([x[0] * 0.93, y[0] - 0.006, (z[0] + 0.010) * 0.93 - 0.010], -1)[None]  # the collar turns inwards
    grid = np.concatenate([rim, np.stack([x, y, z + chest], -1)])  # [D + 1, A, 3]
    rows, count = grid.shape[:2]
    i, j = np.meshgrid(np.arange(rows - 1), np.arange(count), indexing="ij")
    a, b = i * count + j, i * count + (j + 1) % count
    c, d = a + count, b + count
    faces = np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)])
    return grid.reshape(-1, 3), faces
