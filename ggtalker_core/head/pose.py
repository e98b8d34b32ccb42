"""Rotations: axis-angle, matrices, quaternions (wxyz), all differentiable also at the zero rotation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import InvalidInputError

if TYPE_CHECKING:
    from torch import Tensor


def axis_angle_to_matrix(rotation_rad: Tensor) -> Tensor:
    """Rodrigues' formula. [..., 3] radians -> [..., 3, 3].

    Uses sin(t)/t and (1-cos t)/t^2 with their series near zero, so that values and gradients are exact at rest.
    """
    import torch

    if rotation_rad.shape[-1] != 3:
        raise InvalidInputError(f"Axis-angle needs 3 numbers in its last axis, got {list(rotation_rad.shape)}.")
    squared = (rotation_rad * rotation_rad).sum(-1)  # [...]
    small = squared < 1e-8
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    a = torch.where(small, 1 - squared / 6, angle.sin() / angle)
    b = torch.where(small, 0.5 - squared / 24, (1 - angle.cos()) / safe)
    x, y, z = rotation_rad.unbind(-1)
    zero = torch.zeros_like(x)
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))
    eye = torch.eye(3, dtype=rotation_rad.dtype, device=rotation_rad.device)
    return eye + a[..., None, None] * skew + b[..., None, None] * (skew @ skew)


def matrix_to_quaternion_wxyz(matrix: Tensor) -> Tensor:
    """Unit quaternions, real part first, of rotation matrices. [..., 3, 3] -> [..., 4].

    Of the four ways to divide, the one with the largest divisor is taken per rotation; w is not negative.
    """
    import torch

    if tuple(matrix.shape[-2:]) != (3, 3):
        raise InvalidInputError(f"A rotation matrix must be [..., 3, 3], got {list(matrix.shape)}.")
    m00, m01, m02, m10, m11, m12, m20, m21, m22 = matrix.flatten(-2).unbind(-1)
    # Row k: four times the quaternion times its k-th component.
    rows = torch.stack(
        [
            torch.stack([1 + m00 + m11 + m22, m21 - m12, m02 - m20, m10 - m01], -1),
            torch.stack([m21 - m12, 1 + m00 - m11 - m22, m10 + m01, m02 + m20], -1),
            torch.stack([m02 - m20, m10 + m01, 1 - m00 + m11 - m22, m21 + m12], -1),
            torch.stack([m10 - m01, m02 + m20, m21 + m12, 1 - m00 - m11 + m22], -1),
        ],
        -2,
    )  # [..., 4, 4]
    best = torch.diagonal(rows, dim1=-2, dim2=-1).argmax(-1)
    row = rows.gather(-2, best[..., None, None].expand(*best.shape, 1, 4)).squeeze(-2)
    q = row / row.norm(dim=-1, keepdim=True)
    return torch.where(q[..., :1] < 0, -q, q)


def matrix_to_axis_angle(matrix: Tensor) -> Tensor:
    """Axis-angle of rotation matrices, angle in [0, pi]. [..., 3, 3] -> [..., 3] radians."""
    import torch

    q = matrix_to_quaternion_wxyz(matrix)
    w, xyz = q[..., :1], q[..., 1:]
    sine = xyz.norm(dim=-1, keepdim=True)
    angle = 2 * torch.atan2(sine, w)
    factor = torch.where(sine < 1e-7, 2 / w.clamp(min=1e-7), angle / sine.clamp(min=1e-12))
    return xyz * factor


def transform(points: Tensor, rotation_rad: Tensor, translation_m: Tensor) -> Tensor:
    """Head axes to camera axes: x_cam = R(rotation) x_head + translation.

    points [B, N, 3] metres, rotation_rad [B, 3], translation_m [B, 3] -> [B, N, 3] metres.
    """
    matrix = axis_angle_to_matrix(rotation_rad)
    return points @ matrix.transpose(-1, -2) + translation_m[..., None, :]
