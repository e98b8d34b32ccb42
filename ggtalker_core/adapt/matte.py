"""The person's matte, cleaned: the face's own connected part, its edge moved to the picture's edges."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

MatteOf = Callable[[NDArray[np.uint8], NDArray[np.float32]], NDArray[np.uint8]]  # (frame, landmarks) -> [H, W]


def keep_person(matte: NDArray[np.uint8], inside_px: tuple[int, int]) -> NDArray[np.uint8]:
    """Remove other people and specks: what is not connected to the pixel `inside_px` (x, y) goes. [H, W] uint8."""
    import cv2

    _, labels = cv2.connectedComponents((matte > 127).astype(np.uint8))
    h, w = matte.shape
    x, y = min(max(inside_px[0], 0), w - 1), min(max(inside_px[1], 0), h - 1)
    label = int(labels[y, x])
    if label == 0:  # the face itself was not taken for a person: better all than nothing
        return matte
    near = cv2.dilate((labels == label).astype(np.uint8), np.ones((7, 7), np.uint8))
    return np.where(near > 0, matte, np.uint8(0))


def refine_edges(
    matte: NDArray[np.uint8], image: NDArray[np.uint8], radius_px: int = 6, epsilon: float = 2e-4
) -> NDArray[np.uint8]:
    """A guided filter (He et al. 2010) with the grey picture as its guide: the soft edge snaps to the real one."""
    import cv2

    guide = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    p = matte.astype(np.float32) / 255
    size = (2 * radius_px + 1, 2 * radius_px + 1)

    def mean(value: NDArray[np.floating]) -> NDArray[np.float32]:
        return np.asarray(cv2.boxFilter(value, -1, size, borderType=cv2.BORDER_REFLECT), dtype=np.float32)

    mg, mp = mean(guide), mean(p)
    a = (mean(guide * p) - mg * mp) / (mean(guide * guide) - mg * mg + epsilon)
    b = mp - a * mg
    refined = mean(a) * guide + mean(b)
    # Far from the network's edge its word stands.
    sure_in, sure_out = mean(p) > 0.98, mean(p) < 0.02
    refined = np.where(sure_in, 1.0, np.where(sure_out, 0.0, refined))
    return np.clip(refined * 255, 0, 255).round().astype(np.uint8)
