"""One posed frame as a splat that other viewers show upright."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from ..errors import InvalidInputError
from ..types import Gaussians

if TYPE_CHECKING:
    from torch import Tensor


def to_splat_frame(gaussians: Gaussians, frame: int = 0, *, centre: bool = True) -> Gaussians:
    """One frame [1, N, ...] turned by 180 degrees about x: from the camera's axes (y down, z forward) to a viewer's
    (y up, z to the viewer).

    Quaternions come out normalised, colours in [0, 1]; `centre` moves the middle of the Gaussians to the origin.

    Raises:
        InvalidInputError: there is no such frame.
    """
    frames = max(int(t.shape[0]) for t in (gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities))
    if not 0 <= frame < frames:
        raise InvalidInputError(f"There are {frames} frames, numbered from 0; got frame {frame}.")

    def one(value: Tensor) -> Tensor:
        return value[min(frame, value.shape[0] - 1)][None]

    means = one(gaussians.means)
    means = means * means.new_tensor([1.0, -1.0, -1.0])
    if centre and means.shape[1]:
        means = means - (means.amin(1, keepdim=True) + means.amax(1, keepdim=True)) / 2
    # a half turn about x is the quaternion (0, 1, 0, 0): its product with (w, x, y, z) is (-x, w, -z, y)
    w, x, y, z = one(gaussians.quats).unbind(-1)
    quats = _stack(-x, w, -z, y)
    return dataclasses.replace(
        gaussians,
        means=means,
        quats=quats / quats.norm(dim=-1, keepdim=True).clamp(min=1e-12),
        scales=one(gaussians.scales),
        opacities=one(gaussians.opacities).clamp(0.0, 1.0),
        colors=one(gaussians.colors).clamp(0.0, 1.0),
    )


def _stack(*parts: Tensor) -> Tensor:
    import torch

    return torch.stack(parts, -1)
