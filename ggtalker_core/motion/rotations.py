"""Axis-angle and quaternions for smoothing: a frontal head turns by nearly pi, where axis-angle jumps its sign."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def to_quaternions(rotation_rad: Tensor) -> Tensor:
    """Axis-angle [T, 3] to unit quaternions wxyz [T, 4], each in the hemisphere of the one before it."""
    import torch

    angle = rotation_rad.norm(dim=-1, keepdim=True)
    half = angle / 2
    # sin(x)/x stays exact at zero through torch.sinc(x) = sin(pi x) / (pi x).
    quats = torch.cat([half.cos(), rotation_rad * torch.sinc(half / torch.pi) / 2], dim=-1)
    same = (quats[1:] * quats[:-1]).sum(-1).sign()
    flips = torch.cat([torch.ones_like(quats[:1, 0]), torch.where(same == 0, torch.ones_like(same), same)]).cumprod(0)
    return quats * flips[:, None]


def from_quaternions(quats: Tensor) -> Tensor:
    """Quaternions wxyz [T, 4] of any length to axis-angle [T, 3] with angles in [0, pi]."""
    import torch

    quats = quats / quats.norm(dim=-1, keepdim=True)
    quats = torch.where(quats[:, :1] < 0, -quats, quats)
    sine = quats[:, 1:].norm(dim=-1, keepdim=True)
    angle = 2 * torch.atan2(sine, quats[:, :1])
    scale = torch.where(sine > 1e-8, angle / sine.clamp_min(1e-8), torch.full_like(sine, 2.0))
    return quats[:, 1:] * scale
