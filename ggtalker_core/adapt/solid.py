"""A head must be solid from where no frame saw it: now and then the fit looks from the side and fills holes.

Only coverage is asked for, inside the outline that the head itself has there; colours stay what frames and neighbours
make them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

_YAW_RAD, _PITCH_RAD = (math.radians(12), math.radians(42)), math.radians(10)
_SOLID = 0.95
_RIM, _RIM_PX = 0.006, 1.5  # of the picture's longer side: the soft edge of an outline is no hole; and at least


def turned(vertices: Tensor, random: np.random.Generator) -> Tensor:
    """The head [1, V, 3] turned about its middle, to either side and a little up or down."""
    yaw = float(random.uniform(*_YAW_RAD)) * (1 if random.random() < 0.5 else -1)
    pitch = float(random.uniform(-_PITCH_RAD, _PITCH_RAD))
    cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    turn = vertices.new_tensor([[cy, 0, sy], [sp * sy, cp, -sp * cy], [-cp * sy, sp, cp * cy]])
    centre = vertices.mean(1, keepdim=True).detach()
    return (vertices - centre) @ turn.T + centre


def hole_loss(alpha: Tensor, rows: int | None = None) -> Tensor:
    """What coverage [H, W] lacks inside its own outline, mean over the outline's pixels; in the upper `rows` only."""
    inside = torch.from_numpy(_inside(alpha.detach().cpu().numpy())).to(alpha.device)
    if rows is not None:  # below the chin the head ends somewhere: what is not there is no hole
        inside[rows:] = False
    lacking = (_SOLID - alpha).relu() * inside
    return lacking.sum() / inside.sum().clamp_min(1)


def _inside(alpha: NDArray[np.float32]) -> NDArray[np.bool_]:
    """The largest outline of what is more than half covered, filled, without its rim, [H, W]."""
    import cv2

    covered = (alpha > 0.5).astype(np.uint8)
    outlines, _ = cv2.findContours(covered, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return np.zeros(alpha.shape, bool)
    filled = cv2.drawContours(np.zeros_like(covered), [max(outlines, key=cv2.contourArea)], -1, 1, cv2.FILLED)
    padded = cv2.copyMakeBorder(filled, 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    depth = np.asarray(cv2.distanceTransform(padded, cv2.DIST_L2, 5))[1:-1, 1:-1]
    return depth > max(_RIM * max(alpha.shape), _RIM_PX)
