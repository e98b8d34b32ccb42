"""The UV page: which texel lies on which triangle, for the Gaussian map.

The page has no seam through the face; the mouth cavity lies inside the lips, the sockets inside the lids. Columns run
to the person's left, rows run down (row 0 is the crown); a texel and its mirror image have the same row.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from ..errors import InvalidInputError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from .model import HeadModel


@dataclass(frozen=True)
class UVChart:
    """Where the triangles lie on the page."""

    xy: Tensor  # [U, 2] in [0, 1], x to the right, y up
    corners: Tensor  # [F, 3] int64 rows of `xy`; -1 where the triangle has no texels (back of the eyeballs)
    mirror_faces: Tensor | None  # [F] int64: the triangle on the other side of the face

    def triangles(self) -> Tensor:
        """The corners of all triangles on the page, [F, 3, 2]; NaN where there is none."""
        xy = self.xy[self.corners.clamp(min=0)]
        return xy.where((self.corners >= 0)[..., None], xy.new_tensor(float("nan")))


@dataclass(frozen=True)
class UVLayout:
    """The N used texels of a page of size S x S, row by row."""

    size: int  # S
    valid: Tensor  # [S, S] bool
    triangle: Tensor  # [N] int64
    barycentric: Tensor  # [N, 3]
    row_col: Tensor  # [N, 2] int64
    spacing_m: Tensor  # [N] distance to the next texel on the template: square root of the surface per texel
    region: Tensor  # [N] int64, ids of RegionMasks.names
    mirror: Tensor  # [N] int64: the texel at the same place on the other side of the face

    @property
    def count(self) -> int:
        """Number of used texels N."""
        return int(self.triangle.shape[0])

    def points(self, vertices: Tensor, faces: Tensor) -> Tensor:
        """Surface points under the texels: vertices [B, V, 3], faces [F, 3] -> [B, N, 3]."""
        return (vertices[:, faces[self.triangle]] * self.barycentric[None, :, :, None]).sum(2)

    def gather(self, page: Tensor) -> Tensor:
        """Values of the used texels: page [C, S, S] -> [N, C]."""
        return page[:, self.row_col[:, 0], self.row_col[:, 1]].T

    def scatter(self, values: Tensor, fill: float = 0.0) -> Tensor:
        """A page from values of the used texels: [N, C] -> [C, S, S], `fill` elsewhere."""
        page = values.new_full((self.size, self.size, values.shape[1]), fill)
        page[self.row_col[:, 0], self.row_col[:, 1]] = values
        return page.permute(2, 0, 1)

    def to(self, device: torch.device | str) -> UVLayout:
        """The same layout on `device`."""
        names = ("valid", "triangle", "barycentric", "row_col", "spacing_m", "region", "mirror")
        return UVLayout(self.size, *(getattr(self, n).to(device) for n in names))


def uv_layout(size: int, head: HeadModel | None = None) -> UVLayout:
    """The texels of a `size` x `size` page of `head` (the default head). Cached for the default head.

    Raises InvalidInputError for a size outside 8..4096 or a head without a UV page.
    """
    if not 8 <= size <= 4096:
        raise InvalidInputError(f"The UV page must have 8 to 4096 texels a side, got {size}.")
    return _default_layout(size) if head is None else make_layout(size, head)


@lru_cache(maxsize=4)
def _default_layout(size: int) -> UVLayout:
    from .model import load_head

    return make_layout(size, load_head("default"))


def make_layout(size: int, head: HeadModel) -> UVLayout:
    """Rasterise the triangles of the head's page at the texel centres. Raises InvalidInputError without a page.

    A head without a page of its own (a FLAME file) borrows the default head's: its texels go to the nearest places.
    """
    import torch

    if head.uv is None and head.fitted_default_m is not None:
        return _borrowed_layout(size, head, head.fitted_default_m)
    if head.uv is None:
        raise InvalidInputError(f"Head '{head.name}' has no UV page; the Gaussian map needs one.")
    triangles = head.uv.triangles().double().cpu().numpy()  # [F, 3, 2]
    texel, triangle, weights = rasterise(triangles, size)
    lookup = torch.full((size * size,), -1, dtype=torch.int64)
    texel_t, triangle_t = torch.from_numpy(texel), torch.from_numpy(triangle)
    lookup[texel_t] = torch.arange(len(texel))
    rows, cols = texel_t // size, texel_t % size
    mirror = lookup[rows * size + (size - 1 - cols)]
    corners = head.template_m.cpu()[head.faces.cpu()]  # [F, 3, 3]
    area = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=1) / 2
    page = torch.from_numpy(_signed_area(triangles)).float().abs() * size * size  # texels per triangle
    spacing = (area / page.clamp(min=1e-9)).sqrt()
    return UVLayout(
        size=size,
        valid=(lookup >= 0).reshape(size, size),
        triangle=triangle_t,
        barycentric=torch.from_numpy(weights).float(),
        row_col=torch.stack([rows, cols], 1),
        spacing_m=spacing[triangle_t],
        region=head.regions.of_face.cpu()[triangle_t],
        mirror=torch.where(mirror >= 0, mirror, torch.arange(len(texel))),
    )


def _borrowed_layout(size: int, head: HeadModel, fitted: Tensor) -> UVLayout:
    """The default head's texels on another head, at the places nearest to them once the default head is fitted."""
    import dataclasses

    import torch

    from .model import load_head
    from .transfer import nearest_on_surface

    default = load_head("default")
    layout = _default_layout(size)
    places = layout.points(fitted[None], default.faces)[0].double().numpy()
    triangle, weights = nearest_on_surface(places, head.template_m.double().numpy(), head.faces.numpy())
    return dataclasses.replace(
        layout, triangle=torch.from_numpy(triangle), barycentric=torch.from_numpy(weights).float()
    )


def rasterise(
    triangles: NDArray[np.float64], size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Texels whose centre lies in a triangle of the page; on a shared edge the first triangle has it.

    triangles [F, 3, 2] in [0, 1], y up (NaN: skipped) -> texel ids row * size + col [N] ascending, triangle [N],
    barycentric [N, 3]. One candidate per texel of each bounding box, all tested at once.
    """
    import numpy as np

    p = np.stack([triangles[..., 0] * size, (1 - triangles[..., 1]) * size], -1)  # column, row
    used = np.flatnonzero(np.isfinite(p).all((1, 2)) & (np.abs(_signed_area(triangles)) > 1e-14))
    p = p[used]
    low = np.clip(np.ceil(p.min(1) - 0.5), 0, size - 1).astype(np.int64)  # [F, 2]
    high = np.clip(np.floor(p.max(1) - 0.5), -1, size - 1).astype(np.int64)
    extent = np.maximum(high - low + 1, 0)
    count = extent[:, 0] * extent[:, 1]
    owner = np.repeat(np.arange(len(used)), count)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
    col = low[owner, 0] + place % extent[owner, 0]
    row = low[owner, 1] + place // extent[owner, 0]
    a, b, c = p[:, 0], p[:, 1], p[:, 2]
    inverse = np.linalg.inv(np.stack([b - a, c - a], -1))[owner]  # [M, 2, 2]
    delta = np.stack([col + 0.5, row + 0.5], -1) - a[owner]
    w1 = inverse[:, 0, 0] * delta[:, 0] + inverse[:, 0, 1] * delta[:, 1]
    w2 = inverse[:, 1, 0] * delta[:, 0] + inverse[:, 1, 1] * delta[:, 1]
    weights = np.stack([1 - w1 - w2, w1, w2], -1)
    inside = np.flatnonzero((weights >= -1e-9).all(1))
    texel, first = np.unique((row * size + col)[inside], return_index=True)  # candidates come in order of triangles
    kept = inside[first]
    clipped = weights[kept].clip(0, 1)
    return texel, used[owner[kept]], clipped / clipped.sum(1, keepdims=True)


def _signed_area(triangles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signed areas on the page, positive where the triangle is not flipped. [F, 3, 2] -> [F]."""
    e1, e2 = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    return (e1[:, 0] * e2[:, 1] - e1[:, 1] * e2[:, 0]) / 2
