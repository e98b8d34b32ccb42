"""Gaussians ride on triangles: local offset, scale and rotation become camera space with the surface.

The frame of a triangle (v0, v1, v2): e = unit(v1 - v0), n = unit(e x (v2 - v0)), b = e x n, as columns [e n b]
(determinant +1). A Gaussian sits at the barycentric point of its texel plus R_tri offset; its rotation is
q_tri x q_local; its scale grows with the square root of the triangle's area. Triangle rotations and areas carry no
gradient in the quaternion and the scale: the position alone moves the vertices (as in the measured recipe).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..head.pose import matrix_to_quaternion_wxyz
from ..types import Gaussians
from . import quaternions, rigging_compiled
from .config import GaussianConfig
from .texels import Texels, read_map

if TYPE_CHECKING:
    from ..head.uv import UVLayout


@dataclass(frozen=True)
class Rig:
    """Where every texel sits on the surface, and how large its triangle is at rest."""

    corners: Tensor  # [N, 3] vertex ids of each texel's triangle
    barycentric: Tensor  # [N, 3]
    texel_triangle: Tensor  # [N] row of `used`
    used: Tensor  # [U, 3] vertex ids of the triangles that carry texels
    rest_area_m2: Tensor  # [U]

    def to(self, device: torch.device | str) -> Rig:
        """The same rig on `device`."""
        parts = (self.corners, self.barycentric, self.texel_triangle, self.used, self.rest_area_m2)
        return Rig(*(part.to(device) for part in parts))


def make_rig(layout: UVLayout, faces: Tensor, rest_vertices_m: Tensor) -> Rig:
    """Precompute the rig of a layout; `faces` [F, 3], `rest_vertices_m` [V, 3] is the person's neutral head."""
    ids, texel_triangle = torch.unique(layout.triangle.long(), return_inverse=True)
    used = faces.long()[ids]
    rest = triangle_areas(rest_vertices_m.to(torch.float32), used).clamp_min(1e-12)
    return Rig(used[texel_triangle], layout.barycentric.to(torch.float32), texel_triangle, used, rest)


def triangle_areas(vertices: Tensor, faces: Tensor) -> Tensor:
    """Areas of triangles: vertices [..., V, 3], faces [F, 3] -> [..., F]."""
    a, b, c = (vertices[..., faces[:, k], :] for k in range(3))
    return 0.5 * torch.linalg.cross(b - a, c - a).norm(dim=-1)


def triangle_frames(vertices: Tensor, faces: Tensor) -> Tensor:
    """Rotation matrices [..., F, 3, 3] with the columns edge, normal, edge x normal; proper even when degenerate."""
    a, b, c = (vertices[..., faces[:, k], :] for k in range(3))
    edge = torch.nn.functional.normalize(b - a, dim=-1, eps=1e-12)
    normal = torch.nn.functional.normalize(torch.linalg.cross(edge, c - a), dim=-1, eps=1e-12)
    return torch.stack([edge, normal, torch.linalg.cross(edge, normal)], dim=-1)


def surface_points(rig: Rig, vertices: Tensor) -> Tensor:
    """The barycentric points of all texels: vertices [B, V, 3] -> [B, N, 3]."""
    corners = vertices[:, rig.corners.flatten()].unflatten(1, (-1, 3))  # [B, N, 3, 3]
    return (corners * rig.barycentric[None, :, :, None]).sum(dim=2)


def bind_texels(texels: Texels, rig: Rig, vertices: Tensor, config: GaussianConfig | None = None) -> Gaussians:
    """Pose the Gaussians on `vertices` [B, V, 3]; differentiable with respect to the texels and the vertices."""
    cfg = config or GaussianConfig()
    way = rigging_compiled.posed if rigging_compiled.takes(texels, rig, vertices) else posed
    means, quats, scales = way(texels, rig, vertices, cfg)
    b = int(vertices.shape[0])
    return Gaussians(
        means=means,
        quats=quats,
        scales=scales,
        opacities=texels.opacity_logit.sigmoid()[None].expand(b, -1),
        colors=texels.color[None].expand(b, -1, -1),
    )


def posed(texels: Texels, rig: Rig, vertices: Tensor, config: GaussianConfig) -> tuple[Tensor, Tensor, Tensor]:
    """Means [B, N, 3], quaternions [B, N, 4] and scales [B, N, 3] in torch, on any device and in any precision."""
    frames = triangle_frames(vertices, rig.used)  # [B, U, 3, 3]
    with torch.no_grad():
        q_face = matrix_to_quaternion_wxyz(frames)[:, rig.texel_triangle]
        ratio = (triangle_areas(vertices, rig.used) / rig.rest_area_m2).sqrt()
        growth = ratio.clamp(config.area_ratio_min, config.area_ratio_max)[:, rig.texel_triangle]
    offset = (frames[:, rig.texel_triangle] @ texels.offset_m[None, :, :, None]).squeeze(-1)
    q_local = torch.nn.functional.normalize(texels.quaternion, dim=-1)
    quats = quaternions.multiply(q_face, q_local[None])
    return surface_points(rig, vertices) + offset, quats, texels.log_scale.exp()[None] * growth[..., None]


def bind(
    gaussian_map: Tensor,  # [14, S, S]
    layout: UVLayout,
    vertices: Tensor,  # [B, V, 3] camera space
    faces: Tensor,  # [F, 3]
    rest_vertices_m: Tensor | None = None,  # [V, 3] neutral head of the person; None: the first frame
) -> Gaussians:
    """Pose a Gaussian map in one call; keep a `Rig` and use `bind_texels` where frames follow one another."""
    rest = vertices[0].detach() if rest_vertices_m is None else rest_vertices_m
    rig = make_rig(layout, faces, rest).to(vertices.device)
    return bind_texels(read_map(gaussian_map, layout), rig, vertices)
