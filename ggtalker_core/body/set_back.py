"""One frame: rendered head over plate inside the mask, the clip's own frame outside, colours matched at the seam.

The paper's Body Inpainter learns I(render, (1 - dilate(mask)) x original); what it has to solve is solved here
without a network: the mask covers the old and the new head, so that an old chin never shows below a new one; behind
the new head lies the background plate; the seam is feathered; and a smooth colour offset, found along the seam and
fading inwards, removes what is left of a step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def set_back(
    body: NDArray[np.uint8],  # [H, W, 3] the clip's frame
    plate: NDArray[np.uint8],  # [H, W, 3] the background without the person
    rgb: NDArray[np.uint8],  # [H, W, 3] rendered head, premultiplied over black
    alpha: NDArray[np.uint8],  # [H, W] its coverage
    mask: NDArray[np.float32],  # [H, W] 1 where the picture is the rendered head's, soft at the edge
    *,
    match_px: float = 0.0,
    match_limit: float = 0.12,
) -> NDArray[np.uint8]:
    """The finished frame [H, W, 3]. Where the mask is 0 the clip's frame comes back bit for bit.

    `match_px` is how far the colour match reaches inwards from the seam; 0 turns it off.
    """
    box = _box_of(mask)
    if box is None:
        return body.copy()
    rows, cols = box
    cover = alpha[rows, cols, None].astype(np.float32) / 255
    source = body[rows, cols].astype(np.float32)
    m = mask[rows, cols]
    behind = (1 - cover) * plate[rows, cols].astype(np.float32)
    head = np.asarray(rgb[rows, cols].astype(np.float32) + behind, dtype=np.float32)
    if match_px > 0:
        head = head + seam_offset(source, head, cover[..., 0], m, match_px, match_limit * 255)
    mixed = m[..., None] * head + (1 - m[..., None]) * source
    out = body.copy()
    out[rows, cols] = np.clip(mixed, 0, 255).round().astype(np.uint8)
    return out


def seam_offset(
    source: NDArray[np.floating], head: NDArray[np.floating], cover: NDArray[np.floating], mask: NDArray[np.float32],
    reach_px: float, limit: float,
) -> NDArray[np.float32]:  # fmt: skip
    """A smooth offset [H, W, 3] that takes `head` to `source` along the seam and fades over `reach_px` inwards."""
    import cv2

    # Both pictures show the same thing where the mask is neither 0 nor 1 and the head is solid.
    band = (4 * mask * (1 - mask) * (cover > 0.9)).astype(np.float32)
    # Shrunk by 4: the offset is smooth, and four large blurs at full size would cost more than the rasteriser.
    small = (max(1, mask.shape[1] // 4), max(1, mask.shape[0] // 4))

    def shrunk(value: NDArray[np.floating]) -> NDArray[np.float32]:
        return np.asarray(cv2.resize(value, small, interpolation=cv2.INTER_AREA), dtype=np.float32)

    sigma = max(reach_px / 8, 0.8)
    weight = cv2.GaussianBlur(shrunk(band), (0, 0), sigma)
    total = cv2.GaussianBlur(shrunk(band[..., None] * np.clip(source - head, -60, 60)), (0, 0), sigma)
    mean = total / np.maximum(weight, 1e-4)[..., None]
    fade = np.clip(weight / (0.5 * max(float(weight.max()), 1e-4)), 0, 1)
    offset = np.clip(mean * fade[..., None], -limit, limit).astype(np.float32)
    return np.asarray(
        cv2.resize(offset, (mask.shape[1], mask.shape[0]), interpolation=cv2.INTER_LINEAR), dtype=np.float32
    )


def _box_of(mask: NDArray[np.float32]) -> tuple[slice, slice] | None:
    """The rectangle in which the mask is not zero."""
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if len(rows) == 0:
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(cols[0]), int(cols[-1]) + 1)
