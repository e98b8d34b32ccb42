"""First colours: every texel's mean over the frames that look at it squarely; the unseen from their neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..gaussians.rigging import Rig, surface_points, triangle_frames
from .geometry import frame_vertices, project
from .style import mouth_opening

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..head import HeadModel, UVLayout
    from ..types import HairSway, Track
    from .frames import FrameStore

MAX_FRAMES = 24
# What no frame can show reliably before the fit: the inside of the mouth.
INNER_COLORS = {
    "teeth_upper": (0.62, 0.56, 0.52),
    "teeth_lower": (0.55, 0.49, 0.46),
    "tongue": (0.48, 0.24, 0.23),
    "cavity": (0.25, 0.10, 0.10),
    "socket": (0.45, 0.30, 0.27),
}
_LINING_FROM_M, _LINING_OVER_M = 0.006, 0.006  # from the lips inwards: where the walls take the colour of skin
_LINING_POINTS = 4000  # of a region are enough to find near ones
_ENOUGH = 0.004  # visibility below which a texel counts as unseen


@dataclass(frozen=True)
class FirstLook:
    """Colours before any fitting, and how well each texel is seen."""

    color: Tensor  # [N, 3]
    visibility: Tensor  # [N] mean of cos^4 over the frames


@torch.no_grad()
def first_colors(
    head: HeadModel, track: Track, store: FrameStore, layout: UVLayout, rig: Rig, offset_m: Tensor,
    sway: HairSway | None = None,
) -> FirstLook:  # fmt: skip
    """Project the texels into some frames and average with cos^4 of the angle to the line of sight.

    Lips are looked at in the frames with the most closed mouths: elsewhere the teeth would colour their inner rim.
    """
    picks = np.unique(np.linspace(0, store.count - 1, min(MAX_FRAMES, store.count)).round().astype(int))
    color, visibility = _mean_colors(picks, head, track, store, rig, offset_m, sway)
    closed = np.argsort(mouth_opening(store.landmarks), kind="stable")[: len(picks)]
    lip_color, lip_visibility = _mean_colors(closed, head, track, store, rig, offset_m, sway)
    lips = layout.region == head.regions.names.index("lips")
    color = torch.where(lips[:, None], lip_color, color)
    visibility = torch.where(lips, lip_visibility, visibility)
    inner = _inner_colors(layout, head)
    is_inner = inner.isfinite().all(1)
    visibility = torch.where(is_inner, torch.zeros_like(visibility), visibility)
    color = _fill_unseen(color, visibility, layout, layout.region == head.regions.names.index("scalp"))
    return FirstLook(lined_mouth(torch.where(is_inner[:, None], inner, color), layout, head), visibility)


def _mean_colors(
    picks: NDArray[np.intp], head: HeadModel, track: Track, store: FrameStore, rig: Rig, offset_m: Tensor,
    sway: HairSway | None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Mean colour [N, 3] and visibility [N] of the texels over the kept frames `picks`."""
    n = int(rig.corners.shape[0])
    total, weight = torch.zeros(n, 3), torch.zeros(n)
    for k in picks:
        vertices = frame_vertices(head, track, [store.indices[k]], offset_m, sway)
        points = surface_points(rig, vertices)[0]
        normals = triangle_frames(vertices, rig.used)[0, rig.texel_triangle][:, :, 1]
        facing = -(normals * torch.nn.functional.normalize(points, dim=-1)).sum(-1)
        intrinsics, width, height = store.camera(int(k))
        grid = project(points, intrinsics) / torch.tensor([width, height]) * 2 - 1  # align_corners=False convention
        trust = store.mattes[k].astype(np.float32) * store.weights[k] / 255
        stack = np.concatenate([store.images[k].astype(np.float32), trust[..., None]], -1)
        picture = torch.from_numpy(stack).permute(2, 0, 1)[None] / 255
        seen = torch.nn.functional.grid_sample(picture, grid[None, None], align_corners=False)[0, :, 0].T
        share = facing.clamp_min(0) ** 4 * (seen[:, 3] > 0.9)
        total += share[:, None] * seen[:, :3]
        weight += share
    return total / weight.clamp_min(1e-6)[:, None], weight / len(picks)


def _inner_colors(layout: UVLayout, head: HeadModel) -> Tensor:
    """Constants inside the mouth, NaN elsewhere, [N, 3]."""
    out = torch.full((layout.count, 3), float("nan"))
    names = head.regions.names
    for name, rgb in INNER_COLORS.items():
        if name in names:
            out[layout.region == names.index(name)] = torch.tensor(rgb)
    return out


def lined_mouth(color: Tensor, layout: UVLayout, head: HeadModel) -> Tensor:
    """Colours [N, 3] with the walls of the mouth, away from the lips, in the colour of the skin over them.

    Where a smile folds the cheek, discs of skin turn on edge and what lies behind shows between them: a dark wall
    would print stitches along the fold. Through the lips only the floor and the teeth are seen.
    """
    names = head.regions.names
    if not {"cavity", "lips", "face"} <= set(names):
        return color
    points = layout.points(head.template_m[None], head.faces)[0]  # [N, 3]
    walls, lips, face = (torch.nonzero(layout.region == names.index(n))[:, 0] for n in ("cavity", "lips", "face"))
    lips, face = (rows[:: max(1, len(rows) // _LINING_POINTS)] for rows in (lips, face))
    away = torch.cdist(points[walls], points[lips]).min(dim=1).values
    share = ((away - _LINING_FROM_M) / _LINING_OVER_M).clamp(0, 1)[:, None]
    share = share * share * (3 - 2 * share)
    over = face[torch.cdist(points[walls], points[face]).argmin(dim=1)]
    out = color.clone()
    out[walls] = (1 - share) * color[walls] + share * color[over]
    return out


def _fill_unseen(color: Tensor, visibility: Tensor, layout: UVLayout, scalp: Tensor) -> Tensor:
    """Unseen texels take the colour of their mirror image, else what flows in from around on the page.

    Hair takes its colour from hair only, where any was seen.
    """
    seen = visibility > _ENOUGH
    mirrored = ~seen & seen[layout.mirror]
    color = torch.where(mirrored[:, None], color[layout.mirror], color)
    known = seen | mirrored
    if not bool(known.any()):
        return torch.full_like(color, 0.5)
    filled = _flow(color, known, layout)
    if bool((known & scalp).any()):
        filled = torch.where((scalp & ~known)[:, None], _flow(color, known & scalp, layout), filled)
    return filled


def _flow(color: Tensor, known: Tensor, layout: UVLayout) -> Tensor:
    """Diffusion over the page: known texels keep their colour, the others become the mean of their neighbours."""
    side = layout.size
    row, col = layout.row_col.unbind(-1)
    page = torch.zeros(1, 4, side, side)
    page[0, :3, row, col] = (color * known[:, None]).T
    page[0, 3, row, col] = known.float()
    base = page.clone()
    for _ in range(side):
        blurred = torch.nn.functional.avg_pool2d(page, 3, 1, 1)
        blurred = blurred / blurred[:, 3:].clamp_min(1e-6)
        page = torch.where(base[:, 3:] > 0, base, blurred * (blurred[:, 3:] > 0.5))
    return torch.where(known[:, None], color, page[0, :3, row, col].T)
