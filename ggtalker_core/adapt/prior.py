"""What is known of the map before the fit: which texels are drawn, how far each may go, which are neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..gaussians.config import GaussianConfig
from .config import Weights
from .geometry import NECK_CUT_M
from .losses import MapPrior

if TYPE_CHECKING:
    from ..head import HeadModel, UVLayout
    from .colors import FirstLook

_FAR_M = 0.015  # neighbours on the page further apart than this in space do not pull at each other
_SEEN = 0.10  # visibility at which a texel counts as fully seen
_MOUTH = ("teeth_upper", "teeth_lower", "tongue", "cavity")
_INNER = (*_MOUTH, "socket", "eyes")
_INNER_OFFSET_M = 1.0e-3
_LIP_OFFSET_M = 3.0e-3
_LIP_SLACK = 0.15  # gloss and shade of lips, but not teeth
_GLIMPSED = 0.01  # visibility below which a texel's colour is not left to the frames alone
_UNSEEN_SLACK = 0.25  # where frames only ever touch a texel with its neighbours' rims, they would paint it anyhow
_LIP_INNER = 0.035  # of the page: so near the inside of the mouth a lip's texel may face the teeth
_RIM = 0.02
_LEAST = 0.9  # of what reaches the neighbours
_MEET = 3.0  # times what reaches the neighbours
_OPAQUE = ("lips", "face", "nose", "lids")
_SKIN = ("face", "nose", "lids", "brows")  # not lips: held level they lost a quarter of a decibel in the mouth
_ONE_SKIN = ("face", "nose", "brows", "ears", "neck")  # of one colour; lids may be painted, lips are red
_BARE_M = 0.004  # hair shorter than this leaves skin
_SIDES = ("scalp", "ears", "neck")


def region_mask(layout: UVLayout, head: HeadModel, *names: str) -> Tensor:
    """Texels of any of the named regions, [N] bool."""
    wanted = [head.regions.names.index(name) for name in names if name in head.regions.names]
    return torch.isin(layout.region, torch.tensor(wanted))


def drawn_texels(layout: UVLayout, head: HeadModel, points_m: Tensor, chin_m: float) -> Tensor:
    """Texels that are drawn, [N] bool: not those below the neck line, which no frame would ever hold in check.

    `points_m` [N, 3] are the texels on the neutral head.
    """
    skin = region_mask(layout, head, "neck", "scalp", "face", "ears")
    return ~(skin & (points_m[:, 1] < chin_m - NECK_CUT_M))


def map_prior(
    layout: UVLayout,
    head: HeadModel,
    drawn: Tensor,  # [N] bool
    points_m: Tensor,  # [N, 3] on the neutral head
    hair_m: Tensor,  # [N] length of the hair offset
    spread_m: Tensor,  # [N, 2] how large a texel has to be in its triangle to reach its neighbours
    look: FirstLook,
    limits: GaussianConfig,
    weights: Weights,
) -> MapPrior:
    """Limits and neighbours of the drawn texels, in their order."""
    scalp = region_mask(layout, head, "scalp") | (hair_m > 0.002)
    inner = region_mask(layout, head, *_INNER)
    offset = torch.where(scalp, limits.offset_max_scalp_m, limits.offset_max_m)
    offset = torch.where(inner, torch.tensor(_INNER_OFFSET_M), offset)
    lips = region_mask(layout, head, "lips")
    rim = lips & (look.visibility < _RIM)  # rolled inwards: hidden while the lips are closed
    offset = torch.where(lips, torch.tensor(_LIP_OFFSET_M), offset)
    slack = torch.where(lips & _near_mouth(layout, head), torch.tensor(_LIP_SLACK), torch.tensor(10.0))
    slack = torch.where(region_mask(layout, head, *_SIDES), _side_slack(look), slack)
    # Hair and ears that no frame sees squarely would stay half transparent, and show as holes from the side.
    sides = region_mask(layout, head, *_SIDES) & (look.visibility < _SEEN)
    throat = region_mask(layout, head, "neck") & (hair_m < _BARE_M)
    opaque = (region_mask(layout, head, *_OPAQUE) & ~rim) | sides | throat
    scale = torch.where(scalp, limits.scale_max_scalp_m + 0.1 * hair_m, torch.tensor(limits.scale_max_m))
    reached = spread_m.clamp_max(limits.scale_most_m)
    scale = torch.maximum(scale, reached.amax(1))
    # Long hair is a curtain of few, far stretched triangles: there texels must be large to meet.
    most = (_MEET * spread_m.amax(1)).clamp(limits.scale_most_m, limits.scale_most_long_m)
    # Seen at a slant only, a texel shrinks until it shows nothing wrong: from the side that is a hole.
    slant = (2 - 2 * look.visibility / _SEEN).clamp(0, 1) * ~inner
    pairs = _neighbours(layout, points_m)
    pairs = pairs[drawn[pairs].all(1)]
    same_side = inner[pairs[:, 0]] == inner[pairs[:, 1]]
    pairs = pairs[same_side]
    sight = (look.visibility / _SEEN).clamp(0, 1)
    sight = torch.where(inner, torch.tensor(0.8), sight)  # seen now and then, when the mouth is open
    blind = 1 - sight[pairs].amin(1)
    weight = weights.smooth + weights.smooth_unseen * blind + weights.smooth_lips * lips[pairs].all(1)
    cell = layout.row_col[:, 0].long() * layout.size + layout.row_col[:, 1].long()
    across, down = _page_weights(cell[pairs], weight / len(pairs), layout.size)
    face = region_mask(layout, head, *_SKIN)
    flat = face | throat
    level_across, level_down = _page_mean(cell[pairs], flat[pairs].all(1), layout.size)
    kinds = _kinds(layout, head, scalp)[pairs]
    hue_across, hue_down = _page_mean(cell[pairs], kinds[:, 0] == kinds[:, 1], layout.size)
    return MapPrior(
        offset_max_m=offset[drawn],
        scale_max_m=scale[drawn],
        scale_min_m=(_LEAST * slant[:, None] * reached)[drawn],
        scale_most_m=most[drawn],
        flat=flat[drawn].float(),
        face=face[drawn].float(),
        inner=region_mask(layout, head, *_MOUTH)[drawn].float(),
        opaque=opaque[drawn].float(),
        color=look.color[drawn],
        color_slack=slack[drawn],
        cell=cell[drawn],
        across=across,
        down=down,
        level_across=level_across,
        level_down=level_down,
        hue_across=hue_across,
        hue_down=hue_down,
    )


def _kinds(layout: UVLayout, head: HeadModel, hair: Tensor) -> Tensor:
    """What each texel is made of, [N] int: hair, skin, or its region; `hair` is [N] bool."""
    kinds = layout.region.long() + 2
    kinds = torch.where(region_mask(layout, head, *_ONE_SKIN), torch.tensor(1), kinds)
    return torch.where(hair, torch.tensor(0), kinds)


def _side_slack(look: FirstLook) -> Tensor:
    """How far colours of hair, ears and neck may leave the first ones, [N]: freely where frames look, else little.

    Not those of lips, lids and face: what is hidden there while the mouth is shut shows when it opens.
    """
    sight = (look.visibility / _GLIMPSED).clamp(0, 1)
    return _UNSEEN_SLACK + 10.0 * sight.square()


def stretch(template_m: Tensor, rest_m: Tensor, triangles: Tensor) -> Tensor:
    """How far apart things of distance 1 on the template [V, 3] lie on the person [V, 3], along the first edge and
    across it, for each of the triangles [U, 3]: [U, 2]."""
    edge, along, height = _shape_of(template_m, triangles)
    edge_now, along_now, height_now = _shape_of(rest_m, triangles)
    longer = edge_now / edge
    sheared = (along_now - along * longer) / height
    return torch.stack([(longer.square() + sheared.square()).sqrt(), height_now / height], dim=1)


def _shape_of(vertices: Tensor, triangles: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Length of the first edge, the third corner's place along it and its height over it, [U] each."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    edge = (b - a).norm(dim=-1).clamp_min(1e-6)
    along = ((c - a) * (b - a)).sum(-1) / edge
    return edge, along, (torch.linalg.cross(b - a, c - a).norm(dim=-1) / edge).clamp_min(1e-6)


def _near_mouth(layout: UVLayout, head: HeadModel) -> Tensor:
    """Texels whose place on the page is near the mouth's cavity, [N] bool."""
    place = layout.row_col.float() / layout.size
    cavity = place[region_mask(layout, head, "cavity")]
    lips = region_mask(layout, head, "lips")
    near = torch.zeros(layout.count, dtype=torch.bool)
    if len(cavity):
        near[lips] = torch.cdist(place[lips], cavity).amin(1) < _LIP_INNER
    return near


def _neighbours(layout: UVLayout, points_m: Tensor) -> Tensor:
    """Pairs of texels side by side on the page and near each other in space, [P, 2]."""
    side = layout.size
    page = torch.full((side, side), -1, dtype=torch.long)
    row, col = layout.row_col.unbind(-1)
    page[row, col] = torch.arange(layout.count)
    across = torch.stack([page[:, :-1].flatten(), page[:, 1:].flatten()], 1)
    down = torch.stack([page[:-1].flatten(), page[1:].flatten()], 1)
    pairs = torch.cat([across, down])
    pairs = pairs[(pairs >= 0).all(1)]
    return pairs[(points_m[pairs[:, 0]] - points_m[pairs[:, 1]]).norm(dim=1) < _FAR_M]


def _page_weights(cells: Tensor, weight: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Weights of pairs of cells [P, 2], [P] as pages: to the right [S, S - 1] and downwards [S - 1, S]."""
    first, second = cells.unbind(1)
    page = torch.zeros(2, side * side)
    page[(second - first == side).long(), first] = weight
    return page[0].view(side, side)[:, :-1].contiguous(), page[1].view(side, side)[:-1].contiguous()


def _page_mean(cells: Tensor, counts: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """The same for a mean over those pairs of cells [P, 2] that count, [P] bool."""
    return _page_weights(cells, counts / counts.sum().clamp_min(1), side)
