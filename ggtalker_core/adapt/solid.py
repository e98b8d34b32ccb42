"""A head must be solid from where no frame saw it: now and then the fit looks from the side and fills holes.

Only coverage is asked for, inside the outline that the head itself has there; colours stay what frames and neighbours
make them. Skin is asked for more: what lies behind it, the mouth's lining or the back of the head, may fill a hole for
the outline but shows as a fleck. So the texels are painted by what they are, and inside the face only what faces the
camera counts as cover.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..types import Gaussians
    from .losses import MapPrior

_YAW_RAD, _PITCH_RAD = (math.radians(12), math.radians(42)), math.radians(10)
_SOLID = 0.95
_COVERED = 0.98  # skin; what shines through the rest cannot be told from noise
_RIM, _RIM_PX = 0.006, 1.5  # of the picture's longer side: the soft edge of an outline is no hole; and at least
_LIPS_PX = 2  # round the lips, which end softly: asked to be closed, skin would grow over them


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


def painted(
    gaussians: Gaussians,  # of one frame
    normals: Tensor,  # [N, 3] of the texels' triangles, camera space
    prior: MapPrior,
) -> Gaussians:
    """The same Gaussians in three paints: red what covers (it faces the camera and is not inside the mouth), green
    what covers and is skin of the face, blue nothing.

    Opacities carry gradients except inside the mouth, whose lining would rather vanish than be covered; sizes only on
    the face and inside the mouth: hair that no frame holds in check would grow without end. Places carry none.
    """
    facing = (gaussians.means[0].detach() * normals).sum(-1) < 0
    cover = facing & (prior.inner == 0)
    skin = cover & (prior.face > 0)
    paint = torch.stack([cover.float(), skin.float(), torch.zeros_like(prior.face)], dim=1)
    opacities, scales = gaussians.opacities, gaussians.scales
    sized = ((prior.face > 0) | (prior.inner > 0))[None, :, None]
    return dataclasses.replace(
        gaussians,
        means=gaussians.means.detach(),
        quats=gaussians.quats.detach(),
        opacities=torch.where(prior.inner[None] > 0, opacities.detach(), opacities),
        scales=torch.where(sized, scales, scales.detach()),
        colors=paint[None],
    )


def fleck_loss(paint: Tensor, lips_px: Tensor, rows: int | None = None) -> Tensor:
    """What cover [H, W] lacks inside the face, mean over the face's pixels; above `rows`, and not in mouth and lips.

    paint [H, W, 3] is a rendering of `painted`; lips_px [L, 2] are the outer lips in its pixels.
    """
    import cv2

    inside = _inside(paint[..., 1].detach().cpu().numpy()).astype(np.uint8)
    lips = lips_px.detach().cpu().numpy().round().astype(np.int32)
    cv2.fillPoly(inside, [lips], 0)
    cv2.polylines(inside, [lips], True, 0, 2 * _LIPS_PX + 1)
    if rows is not None:
        inside[max(rows, 0) :] = 0
    where = torch.from_numpy(inside).to(paint)
    lacking = (_COVERED - paint[..., 0]).relu() * where
    return lacking.sum() / where.sum().clamp_min(1)


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
