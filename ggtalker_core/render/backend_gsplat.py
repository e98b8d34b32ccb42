"""gsplat on CUDA: batched frames through its leading dimensions, by keyword arguments only (1.5 <= version < 2).

Nothing here compiles: gsplat is used only if a compiled extension is found and loads (see `gsplat_extension`).
"""

from __future__ import annotations

import functools
from typing import Any

from torch import Tensor

from ..types import Camera, Gaussians
from . import gsplat_extension
from .select import Availability


@functools.cache
def availability() -> Availability:
    """Whether gsplat can rasterise here without compiling anything."""
    return gsplat_extension.find()


def render_frames(
    gaussians: Gaussians, camera: Camera, background: Tensor, frames: int, eps2d: float, antialiased: bool
) -> tuple[Tensor, Tensor]:
    """Render every frame in one call; rgb [B, H, W, 3] and alpha [B, H, W, 1]."""
    gsplat_extension.load()
    from gsplat import rasterization

    device = gaussians.means.device

    def whole(value: Tensor) -> Tensor:
        """All frames of a tensor, contiguous: gsplat's kernels take no broadcasting."""
        return value.expand(frames, *value.shape[1:]).contiguous()

    result: Any = rasterization(
        means=whole(gaussians.means),
        quats=whole(gaussians.quats),
        scales=whole(gaussians.scales),
        opacities=whole(gaussians.opacities),
        colors=whole(gaussians.colors),
        viewmats=whole(camera.viewmat.to(device))[:, None],
        Ks=whole(camera.intrinsics_px.to(device))[:, None],
        width=camera.width,
        height=camera.height,
        near_plane=camera.near_m,
        far_plane=camera.far_m,
        eps2d=eps2d,
        packed=False,
        backgrounds=background.contiguous()[:, None],
        rasterize_mode="antialiased" if antialiased else "classic",
    )
    rgb, alpha = result[0], result[1]
    return rgb[:, 0], alpha[:, 0]
