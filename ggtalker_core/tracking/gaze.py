"""Eye rotation from the irises: where they lie between the corners of the eye, compared with the model's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..head.pose import axis_angle_to_matrix
from .face_model import rotation_derivative
from .solver import Motion, solve_along_time
from .topology import EYE_CORNERS_LEFT, EYE_CORNERS_RIGHT, LID_PAIRS_LEFT, LID_PAIRS_RIGHT

if TYPE_CHECKING:
    from torch import Tensor

    from ..head import HeadModel

# (joint, iris points, corners, lid pairs), left eye first as in Track.eyes_rad
_EYES = (
    (3, (473, 474, 475, 476, 477), EYE_CORNERS_LEFT, LID_PAIRS_LEFT),
    (4, (468, 469, 470, 471, 472), EYE_CORNERS_RIGHT, LID_PAIRS_RIGHT),
)
_REST = 3.0  # per radian squared
_TOGETHER = (300.0, 60.0)  # both eyes look up together, and almost as far to the side
_SHUT, _OPEN = 0.10, 0.20  # lid opening over eye width between which an iris begins to count
_LIMIT_RAD = 0.7


@dataclass(frozen=True)
class _Eye:
    """One eye in camera axes, unrotated."""

    arm: Tensor  # [T, 3] joint to the middle of the iris, head axes
    joint: Tensor  # [T, 3] head axes
    seen_px: Tensor  # [T, 2] iris, relative to the middle of the eye's corners
    corners_px: Tensor  # [T, 2] the model's middle of the corners
    weight: Tensor  # [T]


def fit_gaze(
    head: HeadModel, shape: Tensor, motion: Motion, focal_px: float, points_px: Tensor, valid: Tensor, unit_px: Tensor,
    change: Tensor, *, iterations: int = 4,
) -> Tensor:  # fmt: skip
    """Eyes [T, 6] (left, right; axis-angle in radians, roll zero).

    points_px: [T, 478, 2] from the principal point; unit_px: [T]; change: [T - 1] strength of the temporal prior.
    """
    import torch

    eyes = [_eye(head, shape, motion, focal_px, points_px, valid, *spec) for spec in _EYES]
    count = len(points_px)
    angles = points_px.new_zeros(count, 4)  # pitch, yaw of the left eye; of the right
    for _ in range(iterations):
        hessian = torch.zeros(count, 4, 4, dtype=angles.dtype, device=angles.device)
        gradient = torch.zeros_like(angles)
        for k, eye in enumerate(eyes):
            part = slice(2 * k, 2 * k + 2)
            residual, rows = _residual(eye, angles[:, part], motion, focal_px, unit_px)
            weighted = rows * eye.weight[:, None, None]
            hessian[:, part, part] += weighted.mT @ rows
            gradient[:, part] += (weighted.mT @ residual[..., None])[..., 0]
        pull = _priors(angles)
        step = solve_along_time(
            hessian + pull, gradient + (pull @ angles[..., None])[..., 0], angles[1:] - angles[:-1],
            change[:, None].expand(-1, 4),
        )  # fmt: skip
        angles = (angles + step.to(angles)).clamp(-_LIMIT_RAD, _LIMIT_RAD)
    zero = torch.zeros_like(angles[:, :1])
    return torch.cat([angles[:, :2], zero, angles[:, 2:], zero], 1)


def _eye(
    head: HeadModel, shape: Tensor, motion: Motion, focal_px: float, points_px: Tensor, valid: Tensor,
    joint: int, iris: tuple[int, ...], corners: tuple[int, int], lids: tuple[tuple[int, int], ...],
) -> _Eye:  # fmt: skip
    import torch

    upper, lower = torch.tensor(lids).unbind(1)
    model = head.landmark_model(torch.tensor([*iris, *corners]))
    still = motion.jaw_rad.new_zeros(len(motion.jaw_rad), 6)
    points = model.points(shape[None], motion.expression, motion.jaw_rad, still[:, :3], still)
    place = (
        head.joint_template_m[joint]
        + head.joint_shape_basis[joint][:, : len(shape)] @ shape
        + motion.expression @ head.joint_expression_basis[joint].T
    )
    seen = points[:, len(iris) :] @ motion.rotation.mT + motion.translation_m[:, None]
    seen_corners = points_px[:, list(corners)]
    width = (seen_corners[:, 0] - seen_corners[:, 1]).norm(dim=-1).clamp(min=1e-3)
    opening = (points_px[:, upper] - points_px[:, lower]).norm(dim=-1).mean(1) / width
    weight = ((opening - _SHUT) / (_OPEN - _SHUT)).clamp(0, 1) * valid
    return _Eye(
        arm=points[:, : len(iris)].mean(1) - place,
        joint=place,
        seen_px=points_px[:, list(iris)].mean(1) - seen_corners.mean(1),
        corners_px=(focal_px * seen[..., :2] / seen[..., 2:]).mean(1),
        weight=weight,
    )


def _residual(eye: _Eye, angles: Tensor, motion: Motion, focal_px: float, unit_px: Tensor) -> tuple[Tensor, Tensor]:
    """[T, 2] in units and its derivative [T, 2, 2] by pitch and yaw."""
    import torch

    rotation = torch.cat([angles, torch.zeros_like(angles[:, :1])], 1)
    turn = axis_angle_to_matrix(rotation)
    point = (turn @ eye.arm[..., None])[..., 0] + eye.joint
    moved = (rotation_derivative(rotation, turn)[:, :2] @ eye.arm[:, None, :, None])[..., 0]  # [T, 2, 3]
    seen = (motion.rotation @ point[..., None])[..., 0] + motion.translation_m
    flat = focal_px * seen[:, :2] / seen[:, 2:]
    direction = motion.rotation[:, None] @ moved[..., None]  # [T, 2, 3, 1]
    across = (direction[:, :, :2, 0] - (seen[:, :2] / seen[:, 2:])[:, None] * direction[:, :, 2]) * focal_px
    rows = (across / seen[:, None, 2:]).mT / unit_px[:, None, None]
    return (flat - eye.corners_px - eye.seen_px) / unit_px[:, None], rows


def _priors(angles: Tensor) -> Tensor:
    """Hessian [4, 4] of: eyes rest, and look the same way."""
    import torch

    hessian = _REST * torch.eye(4, dtype=angles.dtype, device=angles.device)
    for axis, strength in enumerate(_TOGETHER):
        for i, j, sign in ((axis, axis, 1), (axis + 2, axis + 2, 1), (axis, axis + 2, -1), (axis + 2, axis, -1)):
            hessian[i, j] += sign * strength
    return hessian
