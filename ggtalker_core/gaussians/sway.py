"""The hair's own motion with the pose of the head: an offset of the vertices that follows six numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from ..types import HairSway

_MOST = 2.0  # units of a pose number: beyond what the clip shows the hair stays where it was


def pose_features(
    sway: HairSway, rotation_rad: Tensor, translation_m: Tensor, limited: bool = True
) -> Tensor:  # fmt: skip
    """Turn and place against the mean pose, in units: [B, 3], [B, 3] -> [B, 6]."""
    from ..head.pose import axis_angle_to_matrix

    mean = axis_angle_to_matrix(sway.rotation_rad.to(rotation_rad))
    turn = axis_angle_to_matrix(rotation_rad) @ mean.T
    odd = (turn - turn.transpose(1, 2)) / 2  # the sine of a small turn
    turned = torch.stack([odd[:, 2, 1], odd[:, 0, 2], odd[:, 1, 0]], dim=1)
    moved = translation_m - sway.translation_m.to(translation_m)
    features = torch.cat([turned, moved], dim=1) / sway.scale.to(rotation_rad)
    return features.clamp(-_MOST, _MOST) if limited else features


def sway_offset(sway: HairSway, rotation_rad: Tensor, translation_m: Tensor) -> Tensor:
    """The offset of every vertex in head axes, [B, V, 3]."""
    features = pose_features(sway, rotation_rad, translation_m)
    return torch.einsum("bk,kvc->bvc", features, sway.basis_m.to(rotation_rad))
