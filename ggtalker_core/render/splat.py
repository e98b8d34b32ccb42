"""One posed frame as a splat for other programs, in the axes that 3DGS files and ComfyUI's SPLAT use."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from ..errors import InvalidInputError
from ..types import Gaussians

if TYPE_CHECKING:
    from torch import Tensor

SH_C0 = 0.28209479177387814  # the constant spherical harmonic: colour = 0.5 + SH_C0 * coefficient
_LEAST_OPACITY = 1.0 / 255.0  # below it no rasteriser draws a Gaussian


def to_splat_frame(
    gaussians: Gaussians, frame: int = 0, *, origin_m: Tensor | None = None, units_per_m: float = 1.0
) -> Gaussians:
    """One frame [1, M, ...] of Gaussians in camera axes, moved and scaled for a splat file; those never seen left out.

    The axes stay as they are: x right, y down, z forward is what 3DGS files hold and what viewers turn upright, so a
    head before the camera stands the right way up there and looks at the viewer.

    Args:
        gaussians: B frames in camera axes [m].
        frame: which of them.
        origin_m: the point [3] that becomes the origin; None = leave the camera there.
        units_per_m: scale; files that round places (.spz: 1/4096 of a unit) want a head of a few units.

    Returns:
        float32; quaternions normalised, opacities and colours in [0, 1].

    Raises:
        InvalidInputError: there is no such frame.
    """
    frames = max(int(t.shape[0]) for t in (gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities))
    if not 0 <= frame < frames:
        raise InvalidInputError(f"There are {frames} frames, numbered from 0; got frame {frame}.")
    opacities = gaussians.opacities[min(frame, gaussians.opacities.shape[0] - 1)]
    seen = opacities >= _LEAST_OPACITY

    def one(value: Tensor) -> Tensor:
        return value[min(frame, value.shape[0] - 1)][seen][None]

    means, quats = one(gaussians.means), one(gaussians.quats)
    if origin_m is not None:
        means = means - origin_m.to(means)
    return dataclasses.replace(
        gaussians,
        means=means * units_per_m,
        quats=quats / quats.norm(dim=-1, keepdim=True).clamp(min=1e-12),
        scales=one(gaussians.scales) * units_per_m,
        opacities=one(gaussians.opacities).clamp(0.0, 1.0),
        colors=one(gaussians.colors).clamp(0.0, 1.0),
    )


def sh_of(colors: Tensor) -> Tensor:
    """Spherical harmonics of degree 0, [B, N, 1, 3], of colours [B, N, 3] in [0, 1]."""
    return ((colors - 0.5) / SH_C0)[:, :, None, :]
