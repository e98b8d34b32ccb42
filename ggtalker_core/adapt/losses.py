"""What makes a rendered head wrong: the picture, and what the picture cannot see."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..gaussians.texels import Texels
from .config import Weights

_C1, _C2 = 0.01**2, 0.03**2
GREY = (0.299, 0.587, 0.114)
ANISOTROPY_FREE = 2.3  # log of 10 : 1


def window_ssim(a: Tensor, b: Tensor) -> Tensor:
    """Mean SSIM of the grey pictures over 8 x 8 windows with stride 4; a, b [H, W, 3] in [0, 1].

    On a processor the usual 11 x 11 Gaussian window on three channels costs ten times the rasteriser; this is cheap.
    """
    grey = a.new_tensor(GREY)
    x, y = a @ grey, b @ grey  # [H, W]
    moments = torch.stack([x, y, x * x, y * y, x * y])[None]
    mx, my, xx, yy, xy = torch.nn.functional.avg_pool2d(moments, 8, 4)[0]
    top = (2 * mx * my + _C1) * (2 * (xy - mx * my) + _C2)
    bottom = (mx * mx + my * my + _C1) * (xx - mx * mx + yy - my * my + _C2)
    return (top / bottom).mean()


@dataclass(frozen=True)
class PictureLoss:
    """The picture's terms of one step."""

    total: Tensor
    l1: Tensor
    dssim: Tensor


def picture_loss(
    rgb: Tensor,  # [H, W, 3] rendered over `background`
    alpha: Tensor,  # [H, W] rendered coverage
    image: Tensor,  # [H, W, 3] the frame
    matte: Tensor,  # [H, W] the person
    weight: Tensor,  # [H, W] 0 where the head does not answer for the picture (below the neck line)
    emphasis: Tensor,  # [H, W] >= 1 at mouth and lids
    background: Tensor,  # [3] a random colour, so that coverage is learned with colour
    weights: Weights,
) -> PictureLoss:
    """L1 with emphasis, windowed SSIM, coverage."""
    target = matte[..., None] * image + (1 - matte[..., None]) * background
    w = weight[..., None]
    shown = w * rgb + (1 - w) * target
    l1 = ((shown - target).abs().mean(-1) * emphasis).mean()
    dssim = 1 - window_ssim(shown, target)
    cover = (weight * (alpha - matte).abs()).mean()
    return PictureLoss(weights.l1 * l1 + weights.ssim * dssim + weights.alpha * cover, l1.detach(), dssim.detach())


@dataclass(frozen=True)
class MapPrior:
    """What is known of the map before any frame is seen."""

    offset_max_m: Tensor  # [N]
    scale_max_m: Tensor  # [N]
    scale_min_m: Tensor  # [N, 2] along both tangents; a hard limit
    scale_most_m: Tensor  # [N] a hard limit for all axes
    flat: Tensor  # [N] 1 on bare skin, whose discs lie in the surface
    face: Tensor  # [N] 1 on the bare skin of the face
    inner: Tensor  # [N] 1 inside the mouth
    opaque: Tensor  # [N] 1 on skin behind which something else lies
    color: Tensor  # [N, 3] first colours
    color_slack: Tensor  # [N] how far a colour may go from its first one; large where that does not matter
    cell: Tensor  # [N] place on the UV page, row * S + column
    across: Tensor  # [S, S - 1] weight between a cell and its right neighbour: large where no frame looks, else 0
    down: Tensor  # [S - 1, S] the same towards the cell below
    level_across: Tensor  # [S, S - 1] weight between neighbours that are both bare skin, else 0
    level_down: Tensor  # [S - 1, S]
    hue_across: Tensor  # [S, S - 1] weight between neighbours that are made of the same, else 0
    hue_down: Tensor  # [S - 1, S]

    def loss(self, texels: Texels, weights: Weights) -> Tensor:
        """Limits on offset, scale, anisotropy and colour; opaque skin; smoothness over the page."""
        scale = texels.log_scale.exp()
        ratio = texels.log_scale.amax(1) - texels.log_scale.amin(1)
        total = weights.offset * (texels.offset_m.norm(dim=1) - self.offset_max_m).relu().mean()
        total = total + weights.scale * (scale - self.scale_max_m[:, None]).relu().mean()
        total = total + weights.anisotropy * (ratio - ANISOTROPY_FREE).relu().mean()
        see_through = (weights.opaque_at_least - texels.opacity_logit.sigmoid()).relu()
        total = total + weights.opaque * (see_through * self.opaque).mean()
        strayed = ((texels.color - self.color).abs().amax(1) - self.color_slack).relu()
        total = total + weights.stray * strayed.mean() + weights.level * self._unevenness(texels)
        total = total + weights.hue * self._mottling(texels)
        return total + self._roughness(texels)

    def _roughness(self, texels: Texels) -> Tensor:
        """Squared differences of neighbours, in colour, offset [cm], scale and opacity."""
        values = torch.cat(
            [texels.color, texels.offset_m * 100.0, texels.log_scale * 0.3, texels.opacity_logit[:, None] * 0.1], dim=1
        )
        return self._differences(values, self.across, self.down)

    def _unevenness(self, texels: Texels) -> Tensor:
        """Squared differences of neighbouring skin along the normal [cm]: steps open gaps when seen at a slant."""
        return self._differences(texels.offset_m[:, 1:2] * 100.0, self.level_across, self.level_down)

    def _mottling(self, texels: Texels) -> Tensor:
        """Squared differences of neighbours' colours without their brightness.

        Texels overlap, so neighbours in complementary colours make the right one together, and come out as specks
        wherever they are seen from another side, or one of them alone.
        """
        grey = (texels.color * texels.color.new_tensor(GREY)).sum(1, keepdim=True)
        return self._differences(texels.color - grey, self.hue_across, self.hue_down)

    def _differences(self, values: Tensor, across: Tensor, down: Tensor) -> Tensor:
        """Weighted squared differences of neighbours on the page; values [N, C]."""
        side = across.shape[0]
        # A dense page: gathering pairs costs half a step on a processor, slices cost nothing.
        page = values.new_zeros(side * side, values.shape[1]).index_copy(0, self.cell, values).view(side, side, -1)
        right = ((page[:, 1:] - page[:, :-1]).square().sum(-1) * across).sum()
        return right + ((page[1:] - page[:-1]).square().sum(-1) * down).sum()
