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
    import torch

    before = rotation_rad.new_tensor(FRONTAL_RAD)
    turns = 2 * math.pi * torch.tensor([-1.0, 0.0, 1.0], dtype=rotation_rad.dtype)
    out: list[Tensor] = []
    for rotation in rotation_rad:
        angle = rotation.norm()
        axis = rotation / angle if float(angle) > 1e-6 else before / before.norm().clamp(min=1e-6)
        options = (angle + turns)[:, None] * axis
        before = options[(options - before).norm(dim=1).argmin()]
        out.append(before)
    return torch.stack(out)
