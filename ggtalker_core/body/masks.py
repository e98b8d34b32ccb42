"""Which pixels belong to the rendered head: outlines of head and face, grown and feathered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def outline(points_px: NDArray[np.float32], height: int, width: int) -> NDArray[np.uint8]:
    """255 inside the convex outline of the points [N, 2], [H, W]; drawn with sub-pixel edges."""
    import cv2

    mask = np.zeros((height, width), np.uint8)
    hull = cv2.convexHull(points_px.astype(np.float32)).reshape(-1, 2)
    shift = 4
    fixed = np.round((hull - 0.5) * (1 << shift)).astype(np.int32)
    cv2.fillConvexPoly(mask, fixed, 255, cv2.LINE_AA, shift)
    return mask


def grown(mask: NDArray[np.uint8], radius_px: float) -> NDArray[np.uint8]:
    """The mask dilated by a disc."""
    import cv2

    size = 2 * max(0, round(radius_px)) + 1
    return np.asarray(cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))), dtype=np.uint8)


def feathered(mask: NDArray[np.uint8], width_px: float) -> NDArray[np.float32]:
    """A soft edge of `width_px` inside the mask: 0 at its border, 1 further in; slope bounded by 1.5 / width."""
    import cv2

    padded = cv2.copyMakeBorder(mask, 1, 1, 1, 1, cv2.BORDER_REPLICATE)  # the picture's border is no edge
    inside = cv2.distanceTransform((padded > 127).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    t = np.clip(inside / max(width_px, 1.0), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def above_line(points_px: NDArray[np.float32], height: int, width: int, ramp_px: float) -> NDArray[np.float32]:
    """1 above the line through two points (x, y), 0 below, with a soft ramp; [H, W]."""
    (ax, ay), (bx, by) = points_px
    run = float(bx - ax)
    slope = float(by - ay) / run if abs(run) > 1e-3 else 0.0
    x = np.arange(width, dtype=np.float32) + 0.5
    y = np.arange(height, dtype=np.float32)[:, None] + 0.5
    return np.clip((ay + slope * (x - ax) - y) / max(ramp_px, 1.0) + 0.5, 0, 1).astype(np.float32)


def softened(mask: NDArray[np.uint8], radius_px: float) -> NDArray[np.float32]:
    """The mask dilated by a disc of `radius_px` and blurred by half of it, 0..1: how heads are pasted and repaired."""
    import cv2

    radius = max(1, round(radius_px))
    blurred = cv2.GaussianBlur(grown(mask, radius).astype(np.float32), (0, 0), max(0.5 * radius, 0.5))
    return np.asarray(blurred / 255, dtype=np.float32)
