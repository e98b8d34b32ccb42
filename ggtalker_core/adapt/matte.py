"""The person's matte, cleaned: only the part that is joined to the face."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..body.shoulders import without_shoulders

_MESH = 468  # landmarks of the face; the rest is iris
MatteOf = Callable[[NDArray[np.uint8], NDArray[np.float32]], NDArray[np.uint8]]  # (frame, landmarks) -> [H, W]


def head_matte(matte: NDArray[np.uint8], landmarks_px: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The matte [H, W] of the person under the landmarks [478, 2], without other people and without shoulders."""
    x, y = landmarks_px[:_MESH].mean(0)
    return without_shoulders(keep_person(matte, (int(x), int(y))), landmarks_px)


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
