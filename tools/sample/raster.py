"""A z-buffer for triangles about a pixel large, and for hairs: numba loops, orthodox and slow enough to be simple."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ids = NDArray[np.int32]


@numba.njit(cache=True, fastmath=True)
def triangles(
    pixels: Floats,  # [V, 2]
    depth: Floats,  # [V] metres, larger is farther
    faces: Ids,  # [F, 3]
    height: int,
    width: int,
    two_sided: bool,
):
    """Nearest triangle per pixel: id [H, W] (-1 = none), two barycentric weights [H, W, 2], depth [H, W]."""
    face_of = np.full((height, width), -1, np.int32)
    weights = np.zeros((height, width, 2), np.float32)
    nearest = np.full((height, width), np.float32(1e9))
    for f in range(faces.shape[0]):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ax, ay, bx, by = pixels[a, 0], pixels[a, 1], pixels[b, 0], pixels[b, 1]
        cx, cy = pixels[c, 0], pixels[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0 or (area > 0 and not two_sided):  # image y points down: front faces have negative area
            continue
        x0 = max(int(np.ceil(min(ax, bx, cx) - 0.5)), 0)
        x1 = min(int(np.floor(max(ax, bx, cx) - 0.5)), width - 1)
        y0 = max(int(np.ceil(min(ay, by, cy) - 0.5)), 0)
        y1 = min(int(np.floor(max(ay, by, cy) - 0.5)), height - 1)
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                px, py = x + 0.5, y + 0.5
                wb = ((px - ax) * (cy - ay) - (py - ay) * (cx - ax)) / area
                wc = ((bx - ax) * (py - ay) - (by - ay) * (px - ax)) / area
                wa = 1 - wb - wc
                if wa < -1e-4 or wb < -1e-4 or wc < -1e-4:
                    continue
                z = wa * depth[a] + wb * depth[b] + wc * depth[c]
                if z < nearest[y, x]:
                    nearest[y, x] = z
                    face_of[y, x] = f
                    weights[y, x, 0], weights[y, x, 1] = wb, wc
    return face_of, weights, nearest


@numba.njit(cache=True, fastmath=True)
def hairs(
    image: Floats,  # [H, W, 3] linear light, written into
    nearest: Floats,  # [H, W] metres, written into
    pixels: Floats,  # [S, K, 2]
    depth: Floats,  # [S, K]
    color: Floats,  # [S, K, 3]
    opacity: Floats,  # [S, K]
    bias: float,  # metres by which a hair may lie behind what it covers
):
    """Lines one pixel wide along S hairs of K points, blended over what lies behind them."""
    height, width = nearest.shape
    for s in range(pixels.shape[0]):
        for k in range(pixels.shape[1] - 1):
            ax, ay, bx, by = pixels[s, k, 0], pixels[s, k, 1], pixels[s, k + 1, 0], pixels[s, k + 1, 1]
            steps = int(max(abs(bx - ax), abs(by - ay)) * 1.0) + 1
            for i in range(steps):
                t = (i + 0.5) / steps
                x, y = int(ax + (bx - ax) * t), int(ay + (by - ay) * t)
                if x < 0 or y < 0 or x >= width or y >= height:
                    continue
                z = depth[s, k] * (1 - t) + depth[s, k + 1] * t
                if z > nearest[y, x] + bias:
                    continue
                o = opacity[s, k] * (1 - t) + opacity[s, k + 1] * t
                for channel in range(3):
                    c = color[s, k, channel] * (1 - t) + color[s, k + 1, channel] * t
                    image[y, x, channel] += o * (c - image[y, x, channel])
                if o > 0.5 and z < nearest[y, x]:
                    nearest[y, x] = z
