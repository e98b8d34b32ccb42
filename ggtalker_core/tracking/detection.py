"""Faces in a frame: letterbox, detector, weighted non-maximum suppression; closer looks where nothing was found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .crops import FACE_MARGIN, Square, stack
from .topology import DETECTOR_PX

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from .networks import FaceDetector

_SAME_FACE = 0.3  # overlap above which two boxes are one face
_SMALL, _NEARBY = 0.25, 2.5  # a face below this share of the window is seen again in a window this many times as large


@dataclass(frozen=True, eq=False)
class Face:
    """A detected face."""

    box_px: tuple[float, float, float, float]  # x0, y0, x1, y1
    points_px: NDArray[np.float64]  # [6, 2] right eye, left eye, nose, mouth, right ear, left ear
    score: float

    @property
    def side_px(self) -> float:
        """The longer side of the box."""
        x0, y0, x1, y1 = self.box_px
        return max(x1 - x0, y1 - y0)

    def square(self) -> Square:
        """Where the mesh should look."""
        x0, y0, x1, y1 = self.box_px
        across = self.points_px[1] - self.points_px[0]
        roll = math.atan2(float(across[1]), float(across[0]))
        return Square((x0 + x1) / 2, (y0 + y1) / 2, self.side_px * FACE_MARGIN, roll)


def find_faces(
    frames: Sequence[NDArray[np.uint8]], detector: FaceDetector, *, min_score: float, closer: bool, device: str
) -> list[list[Face]]:
    """The faces of each frame, the largest first.

    With `closer`, frames without a face are looked at again in overlapping squares: the detector works on 128 pixels
    and misses faces that are small in a wide or tall frame.
    """
    whole = [_whole(f) for f in frames]
    found = [_merge(faces) for faces in _look(frames, whole, detector, min_score, device)]
    for i, (frame, window) in enumerate(zip(frames, whole)):
        for parts in (2.0, 4.0) if closer and not found[i] else ():
            windows = _windows(frame, parts)
            seen = _look([frame] * len(windows), windows, detector, min_score, device)
            found[i] = _merge([face for part in seen for face in part])
            window = windows[0]
            if found[i]:
                break
        found[i] = _confirm(frame, found[i], window[2], detector, min_score, device)
    return found


def _confirm(
    frame: NDArray[np.uint8], faces: list[Face], window_px: int, detector: FaceDetector, min_score: float, device: str
) -> list[Face]:
    """Look again, from nearby, at faces that were small in their window: their boxes are loose, some are no faces."""
    small = [face for face in faces if face.side_px < _SMALL * window_px]
    if not small:
        return faces
    windows: list[tuple[int, int, int]] = []
    for face in small:
        x0, y0, x1, y1 = face.box_px
        side = max(16, round(face.side_px * _NEARBY))
        windows.append((round((x0 + x1 - side) / 2), round((y0 + y1 - side) / 2), side))
    nearby = _look([frame] * len(small), windows, detector, min_score, device)
    kept = [face for face in faces if face not in small]
    for face, seen in zip(small, nearby):
        kept += [other for other in _merge(seen)[:1] if overlap(face.box_px, other.box_px) > 0.1]
    return _merge(kept)


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two boxes (x0, y0, x1, y1)."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def _whole(frame: NDArray[np.uint8]) -> tuple[int, int, int]:
    """The smallest centred square that holds the frame: x0, y0, side."""
    height, width = frame.shape[:2]
    side = max(height, width)
    return (width - side) // 2, (height - side) // 2, side


def _windows(frame: NDArray[np.uint8], parts: float) -> list[tuple[int, int, int]]:
    """Squares of 2 / `parts` of the shorter side that cover the frame, each half over the next."""
    height, width = frame.shape[:2]
    side = max(64, round(min(height, width) * 2 / parts))
    steps = [max(1, math.ceil(2 * (length - side) / side) + 1) for length in (width, height)]
    xs, ys = ([round(k * (n - side) / max(s - 1, 1)) for k in range(s)] for n, s in zip((width, height), steps))
    return [(x, y, side) for y in ys for x in xs]


def _look(
    frames: Sequence[NDArray[np.uint8]],
    windows: Sequence[tuple[int, int, int]],
    detector: FaceDetector,
    min_score: float,
    device: str,
) -> list[list[Face]]:
    """Raw detections of one square window per frame, in pixels of the frame."""
    import torch

    with torch.inference_mode():
        batch = stack([_letterbox(f, w) for f, w in zip(frames, windows)], device).mul_(2).sub_(1)
        boxes, points, scores = (x.cpu() for x in detector.detect(batch))
    return [_decode(boxes[i], points[i], scores[i], window, min_score) for i, window in enumerate(windows)]


def _letterbox(frame: NDArray[np.uint8], window: tuple[int, int, int]) -> NDArray[np.uint8]:
    """The window as [128, 128, 3], black outside the frame."""
    import cv2
    import numpy as np

    x0, y0, side = window
    height, width = frame.shape[:2]
    left, top = max(x0, 0), max(y0, 0)
    part = frame[top : min(y0 + side, height), left : min(x0 + side, width)]
    scale = DETECTOR_PX / side
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    out = np.zeros((DETECTOR_PX, DETECTOR_PX, 3), np.uint8)
    x, y = min(round((left - x0) * scale), DETECTOR_PX - size[0]), min(round((top - y0) * scale), DETECTOR_PX - size[1])
    out[y : y + size[1], x : x + size[0]] = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    return out


def _decode(
    boxes: Tensor, points: Tensor, scores: Tensor, window: tuple[int, int, int], min_score: float
) -> list[Face]:
    """[896, 4], [896, 6, 2], [896] of one window -> faces above the score."""
    x0, y0, side = window
    faces: list[Face] = []
    for k in (scores >= min_score).nonzero()[:, 0].tolist():
        box = (boxes[k] * side).tolist()
        shifted = (box[0] + x0, box[1] + y0, box[2] + x0, box[3] + y0)
        if shifted[2] > shifted[0] and shifted[3] > shifted[1]:
            faces.append(Face(shifted, points[k].double().numpy() * side + (x0, y0), float(scores[k])))
    return faces


def _merge(faces: list[Face]) -> list[Face]:
    """Weighted non-maximum suppression: boxes of one face become their mean by score. Largest first."""
    import numpy as np

    left = sorted(faces, key=lambda face: -face.score)
    merged: list[Face] = []
    while left:
        best, rest = left[0], left[1:]
        group = [best, *(face for face in rest if overlap(best.box_px, face.box_px) > _SAME_FACE)]
        left = [face for face in rest if face not in group]
        weights = np.array([face.score for face in group])
        weights /= weights.sum()
        box = (np.array([face.box_px for face in group]) * weights[:, None]).sum(0)
        points = (np.stack([face.points_px for face in group]) * weights[:, None, None]).sum(0)
        merged.append(Face((float(box[0]), float(box[1]), float(box[2]), float(box[3])), points, best.score))
    return sorted(merged, key=lambda face: -face.side_px)
