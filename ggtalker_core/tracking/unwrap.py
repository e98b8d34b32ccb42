"""Axis-angle rotations without jumps, so that they can be interpolated, smoothed and refined as numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

FRONTAL_RAD = (math.pi, 0.0, 0.0)  # head to camera of a head that looks into the camera


def unwrapped(rotation_rad: Tensor) -> Tensor:
    """The same rotations [T, 3], each written so that it is nearest to the one before (the first: nearest to frontal).

    A frontal head is turned by half a turn, just where the axis of an axis-angle may flip its sign from frame to frame;
    angles beyond half a turn avoid that.
    """
    import numpy as np
    import torch

    before = np.array(FRONTAL_RAD)
    turns = 2 * math.pi * np.array([-1.0, 0.0, 1.0])
    out = rotation_rad.double().cpu().numpy().copy()  # frame by frame as numbers: thousands of small tensors are slow
    for i, rotation in enumerate(out):
        angle = float(np.linalg.norm(rotation))
        axis = rotation / angle if angle > 1e-6 else before / max(float(np.linalg.norm(before)), 1e-6)
        options = (angle + turns)[:, None] * axis
        before = out[i] = options[np.linalg.norm(options - before, axis=1).argmin()]
    return torch.from_numpy(out).to(rotation_rad)
