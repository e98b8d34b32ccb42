"""A z-buffer in numpy for looking at the head and for triangle-id maps: all candidate pixels are tested at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class View:
    """A pinhole camera that looks at the head from the front, after turning it."""

    size: tuple[int, int] = (420, 520)  # width, height px
    fov_deg: float = 20.0  # vertical
    distance_m: float = 1.0
    yaw_deg: float = 0.0  # positive: the face turns to its left
    pitch_deg: float = 0.0  # positive: the face looks down
    centre_m: tuple[float, float, float] = (0.0, 0.01, 0.03)

    @property
    def focal_px(self) -> float:
        return 0.5 * self.size[1] / float(np.tan(np.radians(self.fov_deg) / 2))

    def project(self, points: Points) -> tuple[Points, Points]:
        """Head axes [N, 3] -> (pixels [N, 2], camera axes y up [N, 3])."""
        a, b = np.radians(self.yaw_deg), np.radians(self.pitch_deg)
        about_y = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
        about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
        p = (points - self.centre_m) @ about_y.T @ about_x.T
        w, h = self.size
        focal = self.focal_px
        depth = self.distance_m - p[:, 2]
        return np.stack([w / 2 + focal * p[:, 0] / depth, h / 2 - focal * p[:, 1] / depth], -1), p


@dataclass(frozen=True)
class Hits:
    """What the camera sees: one triangle and its barycentric coordinates per covered pixel."""

    triangle: Ids  # [H, W], -1 = background
    barycentric: Points  # [H, W, 3]


def trace(view: View, points: Points, faces: Ids) -> Hits:
    """Front-most front-facing triangle per pixel centre."""
    w, h = view.size
    pixels, camera = view.project(points)
    tri = pixels[faces]  # [F, 3, 2]
    e1, e2 = tri[:, 1] - tri[:, 0], tri[:, 2] - tri[:, 0]
    area = e1[:, 0] * e2[:, 1] - e1[:, 1] * e2[:, 0]
    front = np.flatnonzero(area < -1e-9)  # image y points down
    tri = tri[front]
    low = np.clip(np.ceil(tri.min(1) - 0.5), 0, [w - 1, h - 1]).astype(np.int64)
    high = np.clip(np.floor(tri.max(1) - 0.5), -1, [w - 1, h - 1]).astype(np.int64)
    extent = np.maximum(high - low + 1, 0)
    count = extent[:, 0] * extent[:, 1]
    owner = np.repeat(np.arange(len(front)), count)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    x = low[owner, 0] + place % extent[owner, 0]
    y = low[owner, 1] + place // extent[owner, 0]
    dx, dy = x + 0.5 - tri[owner, 0, 0], y + 0.5 - tri[owner, 0, 1]
    det = area[front][owner]
    b1 = (dx * e2[front][owner, 1] - dy * e2[front][owner, 0]) / det
    b2 = (dy * e1[front][owner, 0] - dx * e1[front][owner, 1]) / det
    b = np.stack([1 - b1 - b2, b1, b2], -1)
    inside = (b >= -1e-9).all(1)
    owner, b, pixel = owner[inside], b[inside], (y * w + x)[inside]
    near = (b * camera[:, 2][faces[front[owner]]]).sum(1)
    order = np.lexsort((-near, pixel))  # nearest first within each pixel
    pixel, first = np.unique(pixel[order], return_index=True)
    chosen = order[first]
    triangle = np.full(h * w, -1)
    bary = np.zeros((h * w, 3))
    triangle[pixel], bary[pixel] = front[owner[chosen]], b[chosen]
    return Hits(triangle.reshape(h, w), bary.reshape(h, w, 3))


def vertex_normals(points: Points, faces: Ids) -> Points:
    out = np.zeros_like(points)
    n = np.cross(points[faces[:, 1]] - points[faces[:, 0]], points[faces[:, 2]] - points[faces[:, 0]])
    for i in range(3):
        np.add.at(out, faces[:, i], n)
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-15)


def shade(
    view: View,
    points: Points,
    faces: Ids,
    colours: Points,
    hits: Hits | None = None,
    light: tuple[float, float, float] = (0.3, 0.4, 0.85),
    ambient: float = 0.35,
) -> NDArray[np.uint8]:
    """Smoothly lit picture on white. colours [V, 3] (per vertex) or [H, W, 3] (per pixel), 0..255. [H, W, 3]"""
    hits = hits or trace(view, points, faces)
    direction = np.array(light) / np.linalg.norm(light)
    normal = vertex_normals(view.project(points)[1], faces)
    lit = ambient + (1 - ambient) * np.clip(normal @ direction, 0, 1)
    seen = hits.triangle >= 0
    corners = faces[hits.triangle[seen]]
    b = hits.barycentric[seen]
    base = colours[seen] if colours.ndim == 3 else (b[..., None] * colours[corners]).sum(1)
    out = np.full((*hits.triangle.shape, 3), 255.0)
    out[seen] = base * (b * lit[corners]).sum(1)[:, None]
    return out.clip(0, 255).astype(np.uint8)
