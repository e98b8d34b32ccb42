"""Lips that touch lie as far behind each other as at rest.

A single picture does not tell depth: an opened jaw whose lips the expression pushes together again looks closed and is
not. Where the landmarks of a lip pair meet, the difference of their depths is held to that of the closed mouth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from .face_model import FaceModel
    from .solver import Motion, Observed

_UNIT_M = 0.9e-3  # 1 % of the distance of the outer eye corners, the unit of every residual
_CHUNK = 64  # frames whose Jacobians are held at once


def closeness(gap: Tensor, width: float) -> Tensor:
    """How much two landmarks `gap` units apart in the picture count as touching, 1 to 0."""
    return (-((gap / width) ** 2)).exp()


def depth_apart(model: FaceModel, motion: Motion, pairs: Tensor) -> Tensor:
    """By how much more than at rest the first landmark of each pair lies before the second, in units, [T, P].

    Depth is along the head's own z axis, so that it does not depend on how the head is turned.
    """
    part, a, b = _sides(model, pairs)
    return _beyond_rest(part, part.points(motion.expression, motion.jaw_rad), a, b)


def touch_equations(model: FaceModel, motion: Motion, observed: Observed) -> tuple[Tensor, Tensor]:
    """Hessian [T, 53, 53] and gradient [T, 53], by jaw and expression, of half the weighted square of `depth_apart`."""
    import torch

    part, a, b = _sides(model, observed.pairs)
    hessians: list[Tensor] = []
    gradients: list[Tensor] = []
    for start in range(0, len(motion.jaw_rad), _CHUNK):
        some = slice(start, start + _CHUNK)
        points, by_face = part.derivatives(motion.expression[some], motion.jaw_rad[some])
        error = _beyond_rest(part, points, a, b)  # [t, P]
        rows = (by_face[:, a, 2] - by_face[:, b, 2]) / _UNIT_M  # [t, P, 53]
        weighted = rows * observed.touch_weights[some, :, None]
        hessians.append(weighted.mT @ rows)
        gradients.append((weighted.mT @ error[..., None])[..., 0])
    return torch.cat(hessians), torch.cat(gradients)


def _beyond_rest(part: FaceModel, points: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """`depth_apart` of landmarks `points` [T, K, 3] that are known already."""
    rest, depth = part.mean_m.sum(0)[:, 2], points[..., 2]
    return (depth[:, a] - depth[:, b] - (rest[a] - rest[b])) / _UNIT_M


def _sides(model: FaceModel, pairs: Tensor) -> tuple[FaceModel, Tensor, Tensor]:
    """The landmarks of all pairs alone, and where in them each pair's two are."""
    ids, place = pairs.unique(return_inverse=True)
    return model.rows(ids), place[:, 0], place[:, 1]
