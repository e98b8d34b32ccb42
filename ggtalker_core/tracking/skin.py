"""Samples of the skin: where they are, which way they face, which can be seen, what colour they have under what light.

Colours are sRGB in [0, 1]; the colour of a sample is its albedo times second-order spherical harmonics of its normal in
camera axes (Ramamoorthi and Hanrahan 2001), because the light stands still while the head turns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .face_model import FaceModel, surface_model
from .solver import Motion

if TYPE_CHECKING:
    from torch import Tensor

    from ..head import HeadModel

REGIONS = ("face", "nose", "brows", "lips", "lids")
_PAGE = 72  # texels along one side of the UV page; about 2,000 of them lie on the skin
# Round the lips colours count little: their landmarks know better when they touch. Share on them, distance of the rest.
_LIPS, _AROUND_M = 0.2, 0.012
_GRAZING = 0.25  # cosine between view and normal below which a sample is not used
_HIDDEN_M = 0.008  # farther than this behind the nearest sample: hidden by it
_CELLS = 40  # of the coarse depth picture, along the longer side of the face


@dataclass(frozen=True)
class Skin:
    """N samples of one person's face."""

    model: FaceModel  # their places, with shape and static offset put in
    normals: Tensor  # [N, 3] at rest, head axes
    triangles: Tensor  # [N, 3] int64 vertices of the head
    barycentric: Tensor  # [N, 3]
    trust: Tensor  # [N] how much each counts

    def facing(self, motion: Motion, seen_m: Tensor) -> tuple[Tensor, Tensor]:
        """Normals in camera axes [T, N, 3], and how squarely each sample is seen [T, N], 0 where it is hidden.

        seen_m: [T, N, 3] the samples in camera axes.
        """
        import torch

        normals = self.normals @ motion.rotation.mT
        view = torch.nn.functional.normalize(seen_m, dim=-1)
        cosine = -(normals * view).sum(-1)
        shown = ((cosine - _GRAZING) / (1 - _GRAZING)).clamp(min=0)
        return normals, shown * _nearest(seen_m)


@dataclass(frozen=True)
class Appearance:
    """What does not change in a clip but its geometry."""

    albedo: Tensor  # [N, 3]
    light: Tensor  # [9, 3]

    def colors(self, normals: Tensor) -> Tensor:
        """Colours [T, N, 3] under normals [T, N, 3] in camera axes."""
        return self.albedo * shading(normals, self.light)


def skin_of(head: HeadModel, shape: Tensor, offset_m: Tensor | None = None, size: int = _PAGE) -> Skin:
    """The samples of a person: shape [S], static offset [V, 3]."""
    import torch

    from ..head.uv import uv_layout

    layout = uv_layout(size, None if head.name == "default" else head)
    names = head.regions.names
    wanted = torch.tensor([names.index(name) for name in REGIONS])
    chosen = torch.isin(layout.region, wanted)
    triangles, barycentric = head.faces[layout.triangle[chosen]], layout.barycentric[chosen]
    rest = head.rest()
    vertices = head.vertices(
        shape[None], rest["expression"], rest["jaw_rad"], rest["neck_rad"], rest["eyes_rad"], offset_m
    )[0]  # fmt: skip
    normals = (vertex_normals(vertices, head.faces)[triangles] * barycentric[..., None]).sum(1)
    bias = None if offset_m is None else (offset_m[triangles] * barycentric[..., None]).sum(1)
    model = surface_model(head, triangles, barycentric).personal(shape, bias)
    lips = head.template_m[head.regions.vertices("lips")]
    places = (head.template_m[triangles] * barycentric[..., None]).sum(1)
    trust = (torch.cdist(places, lips).amin(1) / _AROUND_M).square().clamp(_LIPS, 1.0)
    return Skin(model, torch.nn.functional.normalize(normals, dim=-1), triangles, barycentric, trust)


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Area-weighted unit normals [V, 3], outwards."""
    import torch

    a, b, c = vertices[faces].unbind(1)
    across = torch.linalg.cross(b - a, c - a)
    out = torch.zeros_like(vertices)
    for k in range(3):
        out.index_add_(0, faces[:, k], across)
    return torch.nn.functional.normalize(out, dim=-1)


def harmonics(normals: Tensor) -> Tensor:
    """The nine second-order terms [..., 9] of unit normals [..., 3]; constant factors are left to the light."""
    import torch

    x, y, z = normals.unbind(-1)
    return torch.stack([torch.ones_like(x), x, y, z, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1], -1)


def shading(normals: Tensor, light: Tensor) -> Tensor:
    """Light [9, 3] on normals [..., 3] -> [..., 3], never dark or negative."""
    return (harmonics(normals) @ light).clamp(min=0.1)


def even_light(like: Tensor) -> Tensor:
    """A light [9, 3] that is the same from everywhere."""
    light = like.new_zeros(9, 3)
    light[0] = 1.0
    return light


def appearance_of(colors: Tensor, normals: Tensor, weights: Tensor, rounds: int = 4) -> Appearance:
    """Albedo and light from colours [K, N, 3], normals [K, N, 3] and weights [K, N] of some frames.

    Each in closed form while the other is held, alternating; samples that disagree with the others count less.
    """
    import torch

    light = even_light(colors)
    terms = harmonics(normals)  # [K, N, 9]
    albedo = _albedo(colors, torch.ones_like(colors), weights)
    for _ in range(rounds):
        shade = shading(normals, light)
        misfit = (colors - albedo * shade).norm(dim=-1)
        robust = weights / (1 + (misfit / 0.08) ** 2)
        albedo = _albedo(colors, shade, robust)
        rows = []
        for c in range(3):
            a = terms * albedo[None, :, c, None]  # [K, N, 9]
            weighted = a * robust[..., None]
            hessian = torch.einsum("kni,knj->ij", weighted, a)
            target = torch.einsum("kni,kn->i", weighted, colors[..., c])
            ridge = 0.02 * hessian[0, 0]
            prior = hessian.new_zeros(9)
            prior[0] = 1.0
            rows.append(torch.linalg.solve(hessian + ridge * torch.eye(9).to(hessian), target + ridge * prior))
        light = torch.stack(rows, 1)
    return Appearance(_albedo(colors, shading(normals, light), weights), light)


def _albedo(colors: Tensor, shade: Tensor, weights: Tensor) -> Tensor:
    """Weighted least squares per sample [N, 3]; samples that were never seen take the mean."""
    total = (weights[..., None] * shade * shade).sum(0)
    found = (weights[..., None] * shade * colors).sum(0) / total.clamp(min=1e-6)
    seen = weights.sum(0) > 1e-3
    mean = found[seen].mean(0) if bool(seen.any()) else found.new_full((3,), 0.5)
    found = found.clone()
    found[~seen] = mean
    return found


def _nearest(seen_m: Tensor) -> Tensor:
    """1 where no sample lies in front, else 0; [T, N, 3] camera axes -> [T, N]. A depth picture of coarse cells."""
    import torch

    flat = seen_m[..., :2] / seen_m[..., 2:]
    low = flat.amin(1, keepdim=True)
    span = (flat.amax(1, keepdim=True) - low).amax(-1, keepdim=True).clamp(min=1e-6)
    cell = ((flat - low) / span * (_CELLS - 1)).round().long()
    index = cell[..., 1] * _CELLS + cell[..., 0]
    depth = seen_m[..., 2]
    front = torch.full((len(depth), _CELLS * _CELLS), float("inf"), dtype=depth.dtype, device=depth.device)
    front.scatter_reduce_(1, index, depth, "amin")
    return (depth < front.gather(1, index) + _HIDDEN_M).to(depth)
