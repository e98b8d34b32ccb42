"""The oracle of the tests: the image formation written out in float64, Gaussian by Gaussian, gradients by autograd.

Slow (a second for a thousand Gaussians on a small image), on the CPU only, and as plain as possible.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..types import Camera, Gaussians
from .config import ALPHA_MAX, ALPHA_MIN, T_STOP, TILE_PX
from .projection_torch import Projected, project
from .select import Availability


def availability() -> Availability:
    """Always there; never chosen by `auto`."""
    return Availability(True, "Float64 loops on the CPU, for tests.")


def render_frames(
    gaussians: Gaussians, camera: Camera, background: Tensor, frames: int, eps2d: float, antialiased: bool
) -> tuple[Tensor, Tensor]:
    """Render every frame in float64; returns rgb [B, H, W, 3] and alpha [B, H, W, 1] in float32."""
    tensors = (gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.colors)
    pictures: list[Tensor] = []
    for i in range(frames):
        m, q, s, o, c = (t[min(i, t.shape[0] - 1)].cpu().double() for t in tensors)
        view = camera.viewmat[min(i, camera.viewmat.shape[0] - 1)].double()
        intrinsics = camera.intrinsics_px[min(i, camera.intrinsics_px.shape[0] - 1)].double()
        flat = project(
            m, q, s, o, view, intrinsics, camera.width, camera.height, camera.near_m, camera.far_m, eps2d, antialiased
        )
        pictures.append(blend(flat, c, background[i].cpu().double(), camera.width, camera.height))
    rgba = torch.stack(pictures).to(gaussians.means.device, torch.float32)
    return rgba[..., :3], rgba[..., 3:]


def blend(flat: Projected, colors: Tensor, background: Tensor, width: int, height: int) -> Tensor:
    """Front to back over the depth-sorted Gaussians: rgb over `background` and alpha, [H, W, 4]."""
    dtype = flat.means_px.dtype
    py, px = torch.meshgrid(
        torch.arange(height, dtype=dtype) + 0.5, torch.arange(width, dtype=dtype) + 0.5, indexing="ij"
    )
    through = torch.ones(height, width, dtype=dtype)  # transmittance
    rgb = torch.zeros(height, width, 3, dtype=dtype)
    alive = torch.ones(height, width, dtype=torch.bool)
    # depths are compared in float32, as all backends do: equal depths keep the order of their indices
    order = torch.argsort(flat.depths_m.detach().float(), stable=True)
    for g in order[flat.visible[order]].tolist():
        dx, dy = flat.means_px[g, 0] - px, flat.means_px[g, 1] - py
        a, b, c = flat.conics[g]
        sigma = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
        alpha = (flat.opacities[g] * torch.exp(-sigma)).clamp(max=ALPHA_MAX)
        hit = (alpha.detach() >= ALPHA_MIN) & (sigma.detach() >= 0) & alive
        hit &= _in_tiles(flat.means_px[g].detach(), flat.radii_px[g], px, py)
        after = through * (1 - alpha)
        stop = hit & (after.detach() <= T_STOP)
        alive &= ~stop
        hit &= ~stop
        weight = torch.where(hit, alpha * through, torch.zeros_like(through))
        rgb = rgb + weight[..., None] * colors[g]
        through = torch.where(hit, after, through)
    rgb = rgb + through[..., None] * background
    return torch.cat([rgb, 1 - through[..., None]], -1)


def _in_tiles(mean: Tensor, radius: Tensor, px: Tensor, py: Tensor) -> Tensor:
    """Which pixels lie in the tiles that the Gaussian's box touches, [H, W] bool."""
    low = torch.floor((mean - radius) / TILE_PX) * TILE_PX
    high = torch.ceil((mean + radius) / TILE_PX) * TILE_PX
    return (px > low[0]) & (px < high[0]) & (py > low[1]) & (py < high[1])
