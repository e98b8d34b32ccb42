"""The rasteriser in plain torch: any device, gradients by autograd. The fallback and an independent oracle.

Gaussians are listed per 16x16 tile in depth order; all tiles advance together, `_STEP` Gaussians at a time.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ..types import Camera, Gaussians
from .config import ALPHA_MAX, ALPHA_MIN, T_STOP, TILE_PX
from .projection_torch import Projected, project
from .select import Availability

_STEP = 32  # Gaussians per tile and step
_LANES = TILE_PX * TILE_PX
_BLOCK_ELEMENTS = 8_000_000  # floats in one temporary
_KEEP_BYTES = 4 << 30  # what autograd may keep before steps are recomputed in the backward pass instead


@dataclass(frozen=True)
class TileLists:
    """Which Gaussians touch which tile, nearest first."""

    ids: Tensor  # [I] Gaussian of each intersection, by tile, then depth
    start: Tensor  # [T] first intersection of each tile
    count: Tensor  # [T]


def availability() -> Availability:
    """Always there: torch is the host's own."""
    return Availability(True, "Plain torch on any device; on a CPU over a hundred times slower than numba.")


def render_frames(
    gaussians: Gaussians, camera: Camera, background: Tensor, frames: int, eps2d: float, antialiased: bool
) -> tuple[Tensor, Tensor]:
    """Render every frame; returns rgb [B, H, W, 3] and alpha [B, H, W, 1]."""
    device = gaussians.means.device
    tensors = (gaussians.means, gaussians.quats, gaussians.scales, gaussians.opacities, gaussians.colors)
    views, intrinsics = camera.viewmat.to(device), camera.intrinsics_px.to(device)
    pictures: list[Tensor] = []
    for i in range(frames):
        m, q, s, o, c = (t[min(i, t.shape[0] - 1)] for t in tensors)
        flat = project(
            m, q, s, o, views[min(i, views.shape[0] - 1)], intrinsics[min(i, intrinsics.shape[0] - 1)],
            camera.width, camera.height, camera.near_m, camera.far_m, eps2d, antialiased,
        )  # fmt: skip
        pictures.append(_blend(flat, c, background[i], camera.width, camera.height))
    rgba = torch.stack(pictures)
    return rgba[..., :3], rgba[..., 3:]


@torch.no_grad()
def list_tiles(flat: Projected, width: int, height: int) -> TileLists:
    """Pairs of visible Gaussian and touched tile, sorted by tile, then depth, then index."""
    columns, rows = -(-width // TILE_PX), -(-height // TILE_PX)
    limit = torch.tensor([columns, rows], device=flat.means_px.device)
    low = torch.floor((flat.means_px - flat.radii_px) / TILE_PX).clamp(min=0).minimum(limit).long()
    high = torch.ceil((flat.means_px + flat.radii_px) / TILE_PX).clamp(min=0).minimum(limit).long()
    order = torch.argsort(flat.depths_m, stable=True)
    order = order[flat.visible[order]]
    low, high = low[order], high[order]
    wide = high - low  # [M, 2] columns, rows
    count = wide.prod(-1)
    pair = torch.repeat_interleave(torch.arange(len(order), device=order.device), count)
    rank = torch.arange(len(pair), device=order.device) - (torch.cumsum(count, 0) - count)[pair]
    across = wide[pair, 0]
    tile = (low[pair, 1] + rank // across) * columns + low[pair, 0] + rank % across
    by_tile = torch.argsort(tile, stable=True)
    per_tile = torch.bincount(tile, minlength=columns * rows)
    return TileLists(order[pair[by_tile]], torch.cumsum(per_tile, 0) - per_tile, per_tile)


def _blend(flat: Projected, colors: Tensor, background: Tensor, width: int, height: int) -> Tensor:
    """Blend all tiles front to back: rgb over `background` and alpha, [H, W, 4]."""
    device = flat.means_px.device
    lists = list_tiles(flat, width, height)
    columns, rows = -(-width // TILE_PX), -(-height // TILE_PX)
    tiles = columns * rows
    features = torch.cat([flat.means_px, flat.squares, flat.opacities[:, None], colors], -1)  # [N, 9]
    lane, tile = torch.arange(_LANES, device=device), torch.arange(tiles, device=device)
    px = (tile % columns * TILE_PX)[:, None] + (lane % TILE_PX)[None] + 0.5  # [T, 256]
    py = (tile // columns * TILE_PX)[:, None] + (lane // TILE_PX)[None] + 0.5
    # per pixel: red, green, blue, transmittance
    state = torch.cat([torch.zeros(tiles, _LANES, 3, device=device), torch.ones(tiles, _LANES, 1, device=device)], -1)
    alive = (px < width) & (py < height)
    recompute = torch.is_grad_enabled() and len(lists.ids) * _LANES * 4 * 12 > _KEEP_BYTES
    done = 0
    while True:
        active = ((lists.count > done) & alive.any(1)).nonzero().squeeze(1)
        if len(active) == 0:
            break
        for part in active.split(max(1, _BLOCK_ELEMENTS // (_LANES * _STEP))):
            slot = done + torch.arange(_STEP, device=device)
            listed = slot[None] < lists.count[part][:, None]  # [t, K]
            ids = lists.ids[(lists.start[part][:, None] + slot).clamp(max=len(lists.ids) - 1)]
            args = (features[ids], listed, px[part], py[part], state[part], alive[part])
            new, still = checkpoint(_step, *args, use_reentrant=False) if recompute else _step(*args)  # type: ignore[misc]
            state = state.index_copy(0, part, new)
            alive = alive.index_copy(0, part, still)
        done += _STEP
    image = state.view(rows, columns, TILE_PX, TILE_PX, 4).permute(0, 2, 1, 3, 4)
    image = image.reshape(rows * TILE_PX, columns * TILE_PX, 4)[:height, :width]
    through = image[..., 3:]
    return torch.cat([image[..., :3] + through * background, 1 - through], -1)


def _step(
    features: Tensor,  # [t, K, 9] mean, squares, opacity, colour
    listed: Tensor,  # [t, K] bool: not past the end of the tile's list
    px: Tensor,  # [t, 256]
    py: Tensor,
    state: Tensor,  # [t, 256, 4]
    alive: Tensor,  # [t, 256] bool
) -> tuple[Tensor, Tensor]:
    """Blend the next K Gaussians of each tile into `state`; returns it and which pixels go on."""
    ux, uy, a, lean, c, opacity = (features[..., k, None] for k in range(6))  # each [t, K, 1]
    dx, dy = ux - px[:, None], uy - py[:, None]
    sigma = 0.5 * (a * (dx - lean * dy).square() + c * dy.square())
    alpha = (opacity * torch.exp(-sigma.clamp(max=80.0))).clamp(max=ALPHA_MAX)
    hit = (alpha >= ALPHA_MIN) & listed[..., None] & alive[:, None]
    alpha = torch.where(hit, alpha, torch.zeros_like(alpha))
    through = state[:, None, :, 3]
    with torch.no_grad():  # transmittance only falls, so whatever follows a stop fails the same test
        going = through * torch.cumprod(1 - alpha, 1) > T_STOP
    alpha = torch.where(going, alpha, torch.zeros_like(alpha))
    after = torch.cumprod(1 - alpha, 1)
    before = torch.cat([torch.ones_like(after[:, :1]), after[:, :-1]], 1)
    rgb = state[..., :3] + torch.einsum("tkp,tkc->tpc", alpha * before * through, features[..., 6:])
    return torch.cat([rgb, (through[:, 0] * after[:, -1])[..., None]], -1), alive & going[:, -1]
