"""Image and mouth metrics with their formulas in plain sight.

Images are uint8 [H, W, 3] sRGB; errors are taken on values in [0, 1].
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InvalidInputError
from .config import INNER_LIPS, LIPS

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SSIM_SIGMA, _SSIM_SIDE = 1.5, 11
_C1, _C2 = 0.01**2, 0.03**2
_PERFECT_DB = 100.0


def squared_error(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean over the channels of the squared difference, [H, W], on values in [0, 1]."""
    _check_pair(a, b)
    difference = (a.astype(np.float64) - b.astype(np.float64)) / 255
    return (difference * difference).mean(axis=-1)


def psnr_db(error: NDArray[np.float64], mask: NDArray[np.bool_] | None = None) -> float:
    """-10 log10 of the mean squared error, over `mask` where given; 100 dB for no error; NaN for an empty mask."""
    values = error if mask is None else error[mask]
    if values.size == 0:
        return math.nan
    return float(min(_PERFECT_DB, -10 * math.log10(max(float(values.mean()), 1e-10))))


def ssim_map(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Structural similarity of every pixel, mean over the channels, [H, W].

    Gaussian window of 11 x 11 with sigma 1.5, K1 = 0.01, K2 = 0.03, borders mirrored (Wang et al. 2004).
    """
    import cv2

    _check_pair(a, b)
    x, y = a.astype(np.float64) / 255, b.astype(np.float64) / 255

    def local(value: NDArray[np.float64]) -> NDArray[np.float64]:
        size = (_SSIM_SIDE, _SSIM_SIDE)
        return np.asarray(cv2.GaussianBlur(value, size, _SSIM_SIGMA, borderType=cv2.BORDER_REFLECT_101), np.float64)

    mx, my = local(x), local(y)
    vx, vy, vxy = local(x * x) - mx * mx, local(y * y) - my * my, local(x * y) - mx * my
    top = (2 * mx * my + _C1) * (2 * vxy + _C2)
    return (top / ((mx * mx + my * my + _C1) * (vx + vy + _C2))).mean(axis=-1)


def mouth_distance_px(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Mean distance of the 40 lip points after each set was moved to its own centre. Landmarks [478, 2] pixels."""
    p, q = (x[list(LIPS)].astype(np.float64) for x in (a, b))
    return float(np.linalg.norm((p - p.mean(0)) - (q - q.mean(0)), axis=-1).mean())


def lip_gap_px(landmarks: NDArray[np.float32]) -> float:
    """Distance of the inner lips at the mid-line. Landmarks [478, 2] pixels."""
    upper, lower = INNER_LIPS
    return float(np.linalg.norm(landmarks[upper].astype(np.float64) - landmarks[lower]))


def correlation(a: list[float], b: list[float]) -> float:
    """Pearson's correlation; NaN for fewer than three values or where one side never changes."""
    if len(a) != len(b):
        raise InvalidInputError(f"A correlation needs two series of one length, got {len(a)} and {len(b)}.")
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if len(a) < 3 or x.std() < 1e-9 or y.std() < 1e-9:
        return math.nan
    return float(np.corrcoef(x, y)[0, 1])


def _check_pair(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> None:
    if a.shape != b.shape or a.ndim != 3 or a.shape[2] != 3 or a.dtype != np.uint8 or b.dtype != np.uint8:
        raise InvalidInputError(
            f"Two uint8 images of one shape are needed, got {a.dtype} {list(a.shape)} and {b.dtype} {list(b.shape)}."
        )
