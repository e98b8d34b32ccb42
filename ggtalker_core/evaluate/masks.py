"""Where the head is in a test frame, and how a picture is pasted there: the same for ours and for the baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..body.shoulders import cut_away, without_shoulders
from .config import LIPS, N_MESH, EvaluateConfig

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FACE_GROW_PX = 4  # at 512 px


@dataclass(frozen=True)
class HeadMask:
    """The head of one frame: the person's matte above a neck line that is fixed to the head, chin always inside,
    shoulders beside it never."""

    head: NDArray[np.bool_]  # [H, W] what is scored
    edge: NDArray[np.bool_]  # [H, W] the part of it next to the silhouette
    mouth: NDArray[np.bool_]  # [H, W] box around the lips
    paste: NDArray[np.float32]  # [H, W] weight with which a picture is laid over the frame
    seam: NDArray[np.bool_]  # [H, W] around the border of what is laid over


def head_mask(
    matte: NDArray[np.uint8],  # [H, W] the person, 0..255
    above: NDArray[np.uint8],  # [H, W] 255 above the neck line and on the face
    landmarks: NDArray[np.float32],  # [478, 2] px
    config: EvaluateConfig,
) -> HeadMask:
    """Masks of one frame from its matte, its landmarks and its tracked neck line."""
    import cv2

    scale = max(matte.shape) / config.reference_px
    person = matte >= config.mask_level
    own = without_shoulders(matte, landmarks)
    head = (own >= config.mask_level) & (above >= config.mask_level)
    depth = np.asarray(cv2.distanceTransform(person.astype(np.uint8), cv2.DIST_L2, 5))
    grown = 2 * max(1, round(config.mask_grow_px * scale)) + 1
    wide = np.where(cut_away(matte, own), 0, cv2.dilate(own, np.ones((grown, grown), np.uint8))).astype(np.uint8)
    soft = cv2.GaussianBlur(wide.astype(np.float32), (0, 0), config.mask_feather_px * scale)
    paste = np.clip(soft / 255 * (above.astype(np.float32) / 255), 0, 1).astype(np.float32)
    return HeadMask(
        head=head,
        edge=head & (depth <= config.edge_band_px * scale),
        mouth=mouth_box(landmarks, matte.shape, config.mouth_margin),
        paste=paste,
        seam=_seam(paste > 0.5, config.seam_band_px * scale),
    )


def _seam(laid: NDArray[np.bool_], reach_px: float) -> NDArray[np.bool_]:
    """Pixels within `reach_px` of the border of `laid` [H, W]; the picture's own border is none."""
    import cv2

    if laid.all() or not laid.any():
        return np.zeros(laid.shape, bool)
    within, without = (
        np.asarray(cv2.distanceTransform(side.astype(np.uint8), cv2.DIST_L2, 5)) for side in (laid, ~laid)
    )
    return (within + without) <= reach_px


def mouth_box(landmarks: NDArray[np.float32], shape: tuple[int, ...], margin: float) -> NDArray[np.bool_]:
    """The box of the 40 lip points with a margin on all sides, [H, W]."""
    points = landmarks[list(LIPS)]
    low, high = points.min(0), points.max(0)
    room = float((high - low).max()) * margin
    (x0, y0), (x1, y1) = np.maximum(low - room, 0).astype(int), np.maximum(high + room, 0).astype(int)
    box = np.zeros(shape[:2], bool)
    box[y0:y1, x0:x1] = True
    return box


def paste(
    frame: NDArray[np.uint8],  # [H, W, 3] the original
    picture: NDArray[np.uint8],  # [H, W, 3] what is laid over it, premultiplied where alpha is given
    mask: HeadMask,
    plate: NDArray[np.uint8] | None = None,  # [H, W, 3] what shows where alpha is below 255
    alpha: NDArray[np.uint8] | None = None,  # [H, W]
) -> NDArray[np.uint8]:
    """The frame with the head of `picture`."""
    over = picture.astype(np.float32)
    if alpha is not None:
        behind = frame if plate is None else plate
        over = over + (1 - alpha.astype(np.float32)[..., None] / 255) * behind
    weight = mask.paste[..., None]
    return np.clip(over * weight + frame * (1 - weight) + 0.5, 0, 255).astype(np.uint8)


def nearest_frame(landmarks: NDArray[np.float32], fitted: NDArray[np.float32]) -> int:
    """The fitted frame whose landmarks lie nearest in the picture, lips counting six times, lids twice.

    Landmarks [478, 2] and [T, 478, 2] in pixels of the same picture.
    """
    from .config import LIDS

    weight = np.ones(N_MESH)
    weight[list(LIPS)], weight[list(LIDS)] = 6.0, 2.0
    distance = np.linalg.norm(fitted[:, :N_MESH] - landmarks[:N_MESH], axis=-1)
    return int((distance * weight).mean(axis=1).argmin())
