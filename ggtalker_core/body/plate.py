"""The background without the person: what other frames show there, else filled in from around."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GROW = 0.03  # of the picture's longer side: a matte's soft edge and what it misses
_STILL_LEVEL = 10.0  # grey levels: a background that moves more than this has no median


def person_free(matte: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels that are surely background, [H, W]."""
    import cv2

    size = 2 * max(1, round(_GROW * max(matte.shape) / 2)) + 1
    return cv2.dilate(matte, np.ones((size, size), np.uint8)) < 25


def median_plate(
    frames: list[NDArray[np.uint8]], mattes: list[NDArray[np.uint8]], min_seen: int = 3
) -> tuple[NDArray[np.uint8], float]:
    """The median over the frames of what lies outside the person, filled where nothing was seen.

    Returns the plate [H, W, 3] and the share of pixels that were seen in at least `min_seen` frames and stood still;
    a low share means a moving camera, where a plate per frame (see `fill`) is better.
    """
    import numpy.ma as ma

    seen = np.stack([person_free(matte) for matte in mattes])  # [K, H, W]
    height = seen.shape[1]
    plate = np.zeros(frames[0].shape, np.uint8)
    still = np.zeros(seen.shape[1:], bool)
    for y in range(0, height, 64):  # in bands: a median over all frames at once would double the memory
        rows = slice(y, y + 64)
        band = np.stack([frame[rows] for frame in frames])
        hidden = np.broadcast_to(~seen[:, rows, :, None], band.shape)
        middle = ma.median(ma.array(band, mask=hidden), axis=0).filled(0)
        spread = ma.median(ma.array(np.abs(band.astype(np.float32) - middle), mask=hidden), axis=0).filled(255)
        plate[rows] = np.round(middle).astype(np.uint8)
        still[rows] = (seen[:, rows].sum(0) >= min_seen) & (spread.max(-1) < _STILL_LEVEL)
    return fill(plate, still), float(still.mean())


def fill(image: NDArray[np.uint8], known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Fill what is not known from around it, smoothly, from near to far. [H, W, 3], [H, W] -> [H, W, 3].

    Works at a quarter of the size: what is filled in is smooth anyway.
    """
    import cv2

    if bool(known.all()) or not bool(known.any()):
        return image.copy()
    height, width = known.shape
    small = (max(1, width // 4), max(1, height // 4))
    mask = known.astype(np.float32)
    source = cv2.resize(image.astype(np.float32) * mask[..., None], small, interpolation=cv2.INTER_AREA)
    share = cv2.resize(mask, small, interpolation=cv2.INTER_AREA)
    out, have = np.zeros_like(source), np.zeros(share.shape, bool)
    for sigma in (1.0, 2.0, 5.0, 15.0, 50.0):
        total = cv2.GaussianBlur(source, (0, 0), sigma)
        weight = cv2.GaussianBlur(share, (0, 0), sigma)
        new = ~have & (weight > 0.02)
        out[new] = (total / np.maximum(weight, 1e-6)[..., None])[new]
        have |= new
    out[~have] = image[known].mean(0)
    smooth = cv2.resize(out, (width, height), interpolation=cv2.INTER_LINEAR)
    result = np.where(known[..., None], image, np.clip(smooth, 0, 255).round().astype(np.uint8))
    return np.asarray(result, dtype=np.uint8)
