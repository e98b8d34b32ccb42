"""The matte's soft edge by the colours: how much of a pixel near the outline is person, and of which colour.

A person matte from a network ends a few pixels inside the hair. Near its edge the colour of the person is known from
further in and the background from the plate (or from further out); a pixel lies on the line between the two, and its
place there is the coverage. Where the two colours are alike the network's matte stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Pixels of a picture of 512.
_INSIDE_PX, _OUTSIDE_PX = 4.0, 8.0  # the outline is looked for between these distances from the matte's edge
_REACH_PX = 5.0  # over which colours of person and background are averaged
_CONTRAST = 0.16  # difference of the colours, of 1, at which half of the answer is theirs
_CLEAR = 12  # coverage, of 255, below which a colour cannot be told


@dataclass(frozen=True)
class Fringe:
    """Pixels that are partly person, and the person's own colour there."""

    place: NDArray[np.int32]  # [P] row * width + column
    color: NDArray[np.uint8]  # [P, 3]


def refined_matte(
    image: NDArray[np.uint8],  # [H, W, 3]
    matte: NDArray[np.uint8],  # [H, W]
    plate: NDArray[np.uint8] | None,  # [H, W, 3] the background alone, where it is known
    scale: float,  # pixels here for one pixel of a picture of 512
) -> tuple[NDArray[np.uint8], Fringe]:
    """The matte with its edge where the colours have it, and the unmixed colours of that edge."""
    import cv2

    person = (matte > 127).astype(np.uint8)
    if not person.any() or person.all():
        return matte, _no_fringe()
    inside = cv2.distanceTransform(person, cv2.DIST_L2, 5)
    outside = cv2.distanceTransform(1 - person, cv2.DIST_L2, 5)
    unsure = (inside < _INSIDE_PX * scale) & (outside < _OUTSIDE_PX * scale)
    rows, cols = np.nonzero(unsure)
    picture = (image / np.float32(255)).astype(np.float32)
    own = _mean_of(picture, inside >= _INSIDE_PX * scale, _REACH_PX * scale)[rows, cols]
    if plate is None:
        behind = _mean_of(picture, outside >= _OUTSIDE_PX * scale, _REACH_PX * scale)[rows, cols]
    else:
        behind = plate.astype(np.float32)[rows, cols] / 255
    seen, old = picture[rows, cols], matte[rows, cols].astype(np.float32) / 255
    apart = own - behind
    contrast = (apart * apart).sum(-1)
    found = np.clip(((seen - behind) * apart).sum(-1) / np.maximum(contrast, 1e-6), 0, 1)
    trust = contrast / (contrast + _CONTRAST**2)
    cover = trust * found + (1 - trust) * old
    out = matte.copy()
    out[rows, cols] = (cover * 255).round().astype(np.uint8)
    out = np.asarray(cv2.GaussianBlur(out, (3, 3), 0.6 * scale), dtype=np.uint8)
    cover = out[rows, cols].astype(np.float32) / 255
    partly = (cover * 255 > _CLEAR) & (cover < 0.98)
    share = cover[partly, None]
    color = (seen[partly] - (1 - share) * behind[partly]) / share
    # What cannot be told well leans on the colour further in.
    color = share * color + (1 - share) * own[partly]
    place = (rows[partly] * image.shape[1] + cols[partly]).astype(np.int32)
    return out, Fringe(place, (np.clip(color, 0, 1) * 255).round().astype(np.uint8))


def _no_fringe() -> Fringe:
    return Fringe(np.zeros(0, np.int32), np.zeros((0, 3), np.uint8))


def _mean_of(picture: NDArray[np.float32], known: NDArray[np.bool_], reach_px: float) -> NDArray[np.float32]:
    """Means of the known pixels around every pixel, near ones first, [H, W, 3]."""
    import cv2

    height, width = known.shape
    small = (max(1, width // 2), max(1, height // 2))  # the means are smooth
    weight = cv2.resize(known.astype(np.float32), small, interpolation=cv2.INTER_AREA)
    source = cv2.resize(picture * known[..., None], small, interpolation=cv2.INTER_AREA)
    out, have = np.zeros_like(source), np.zeros(weight.shape, bool)
    for sigma in (reach_px / 2, 1.5 * reach_px):
        total, share = cv2.GaussianBlur(source, (0, 0), sigma), cv2.GaussianBlur(weight, (0, 0), sigma)
        new = ~have & (share > 1e-3)
        out[new] = (total[new].T / share[new]).T
        have |= new
    return np.asarray(cv2.resize(out, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
