"""The person in a frame: selfie segmentation, only the part that is joined to the tracked face."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .crops import stack
from .topology import MATTE_PX

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .networks import PersonMatte


def person_matte(
    frame: NDArray[np.uint8], network: PersonMatte, landmarks_px: NDArray[np.floating] | None, *, device: str = "cpu"
) -> NDArray[np.uint8]:
    """Coverage [H, W] 0..255 of the person; with landmarks [478, 2] other people and stray spots are dropped."""
    import cv2
    import numpy as np
    import torch

    height, width = frame.shape[:2]
    small = cv2.resize(frame, (MATTE_PX, MATTE_PX), interpolation=cv2.INTER_AREA)
    with torch.inference_mode():
        cover = network(stack([np.asarray(small, dtype=np.uint8)], device))[0, 0].cpu().numpy()
    if landmarks_px is not None:
        scale = np.array([MATTE_PX / width, MATTE_PX / height])
        cover = _joined_to(cover, np.asarray(landmarks_px[:468], dtype=np.float64) * scale)
    full = cv2.resize(cover, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(np.rint(full * 255), 0, 255).astype(np.uint8)


def _joined_to(cover: NDArray[np.float32], points: NDArray[np.float64]) -> NDArray[np.float32]:
    """Keep the connected part of `cover` under most of the points; its soft rim is kept too."""
    import cv2
    import numpy as np

    count, labels = cv2.connectedComponents((cover > 0.5).astype(np.uint8))
    if count <= 2:  # the ground and one person
        return cover
    inside = points[((points >= 0) & (points < MATTE_PX)).all(1)].astype(int)
    votes = np.bincount(labels[inside[:, 1], inside[:, 0]], minlength=count)
    votes[0] = 0
    if votes.max() == 0:
        return cover
    others = ((labels != 0) & (labels != votes.argmax())).astype(np.uint8)
    own = (labels == votes.argmax()).astype(np.uint8)
    rim = np.ones((9, 9), np.uint8)
    drop = (cv2.dilate(others, rim) > 0) & (cv2.dilate(own, np.ones((3, 3), np.uint8)) == 0)
    return np.where(drop, np.float32(0), cover)
