"""Square, roll-aligned regions of a frame: how they are cut out and how points come back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

FACE_MARGIN = 1.5  # the mesh wants 1.5 times the face's extent


@dataclass(frozen=True)
class Square:
    """A turned square in a frame; pixel centres at +0.5."""

    x_px: float
    y_px: float
    side_px: float
    roll_rad: float = 0.0

    def corners_px(self) -> NDArray[np.float64]:
        """The corners [4, 2]: top left, top right, bottom right, bottom left of the upright face."""
        import numpy as np

        cos, sin = math.cos(self.roll_rad), math.sin(self.roll_rad)
        unit = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]) * self.side_px
        return unit @ np.array([[cos, sin], [-sin, cos]]) + [self.x_px, self.y_px]


def square_of_points(points: NDArray[np.floating], right_eye: int, left_eye: int) -> Square:
    """The square around landmarks [N, 2], level with the line between two of them, 1.5 times their extent."""
    import numpy as np

    across = points[left_eye] - points[right_eye]
    roll = math.atan2(float(across[1]), float(across[0]))
    cos, sin = math.cos(roll), math.sin(roll)
    level = points @ np.array([[cos, -sin], [sin, cos]])
    low, high = level.min(0), level.max(0)
    centre = np.array([[cos, -sin], [sin, cos]]) @ ((low + high) / 2)
    return Square(float(centre[0]), float(centre[1]), float((high - low).max()) * FACE_MARGIN, roll)


def cut_out(frame: NDArray[np.uint8], square: Square, size: int) -> NDArray[np.uint8]:
    """The square as an upright image [size, size, 3]; border pixels repeat outside the frame.

    Large squares are shrunk by area first, so that fine detail does not alias.
    """
    import cv2
    import numpy as np

    corners = square.corners_px()
    factor = square.side_px / size
    if factor > 1.5:
        height, width = frame.shape[:2]
        x0, y0 = np.clip(np.floor(corners.min(0)), 0, (width - 1, height - 1)).astype(int)
        x1, y1 = np.clip(np.ceil(corners.max(0)), (x0 + 1, y0 + 1), (width, height)).astype(int)
        new = (max(1, round((x1 - x0) / factor)), max(1, round((y1 - y0) / factor)))
        frame = cv2.resize(frame[y0:y1, x0:x1], new, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        corners = (corners - (x0, y0)) * (new[0] / (x1 - x0), new[1] / (y1 - y0))
    source = (corners[[0, 1, 3]] - 0.5).astype(np.float32)
    target = np.array([[0, 0], [size, 0], [0, size]], np.float32) - 0.5
    matrix = cv2.getAffineTransform(source, target)
    out = cv2.warpAffine(frame, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, dtype=np.uint8)


def to_frame(points: NDArray[np.floating], square: Square, size: int) -> NDArray[np.float64]:
    """Points of the cut-out image [N, 2 or 3] (pixels) back in the frame [N, 2]."""
    import numpy as np

    corners = square.corners_px()
    unit = np.asarray(points[:, :2], dtype=np.float64) / size
    return corners[0] + unit[:, :1] * (corners[1] - corners[0]) + unit[:, 1:] * (corners[3] - corners[0])


def to_crop(points: NDArray[np.floating], square: Square, size: int) -> NDArray[np.float64]:
    """Points of the frame [N, 2] in the cut-out image of `size` pixels."""
    import numpy as np

    corners = square.corners_px()
    across, down = corners[1] - corners[0], corners[3] - corners[0]
    place = np.asarray(points[:, :2], dtype=np.float64) - corners[0]
    return np.stack([place @ across, place @ down], 1) * (size / square.side_px**2)


def stack(images: Sequence[NDArray[np.uint8]], device: str) -> Tensor:
    """uint8 images [N][S, S, 3] -> float [N, 3, S, S] in [0, 1], channels last in memory."""
    import numpy as np
    import torch

    batch = torch.from_numpy(np.stack(images)).to(device)
    return batch.permute(0, 3, 1, 2).float().div_(255)
