"""A first pose per frame in closed form: the template seen by a scaled parallel projection."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

from .solver import Motion


def first_motion(template_m: Tensor, points_px: Tensor, focal_px: float) -> Motion:
    """Pose by linear least squares, at any rotation of the head; jaw and expression at rest.

    template_m: [L, 3] head axes; points_px: [T, L, 2] from the principal point.
    """
    import torch

    count = len(points_px)
    homogeneous = torch.cat([template_m, torch.ones_like(template_m[:, :1])], 1)  # [L, 4]
    affine = torch.linalg.lstsq(homogeneous, points_px.transpose(0, 1).flatten(1)).solution  # [4, T * 2]
    affine = affine.unflatten(1, (count, 2)).permute(1, 2, 0)  # [T, 2, 4]
    first, second = affine[:, 0, :3], affine[:, 1, :3]
    scale = ((first.norm(dim=1) + second.norm(dim=1)) / 2).clamp(min=1e-6)  # pixels per metre
    u, _, vh = torch.linalg.svd(torch.stack([first, second], 1), full_matrices=False)
    rows = u @ vh  # [T, 2, 3] nearest pair of orthonormal rows
    rotation = torch.cat([rows, torch.linalg.cross(rows[:, 0], rows[:, 1])[:, None]], 1)
    depth = focal_px / scale
    translation = torch.cat([affine[:, :, 3] / scale[:, None], depth[:, None]], 1)
    zeros = torch.zeros(count, 50, dtype=points_px.dtype, device=points_px.device)
    return Motion(rotation, translation, zeros[:, :3].clone(), zeros)
