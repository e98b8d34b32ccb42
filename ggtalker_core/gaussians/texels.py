"""The 14 channels of the Gaussian map as named tensors over the texels that are used."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..errors import InvalidInputError
from ..types import MAP_CHANNELS
from .config import GaussianConfig

if TYPE_CHECKING:
    from ..head.uv import UVLayout


@dataclass(frozen=True)
class Texels:
    """One Gaussian per used texel, as it is stored (before activation), in the frame of its triangle."""

    offset_m: Tensor  # [N, 3]
    log_scale: Tensor  # [N, 3] of metres
    quaternion: Tensor  # [N, 4] wxyz, of any length
    color: Tensor  # [N, 3] sRGB, may leave [0, 1] while it is fitted
    opacity_logit: Tensor  # [N]

    def detach(self) -> Texels:
        """Copies without history."""
        return self._each(lambda value: value.detach().clone())

    def parameters(self) -> Texels:
        """Leaf copies that collect gradients; also out of tensors made under inference mode."""
        return self._each(lambda value: value.detach().clone().requires_grad_(True))

    def to(self, device: torch.device | str) -> Texels:
        """The same texels on `device`."""
        return self._each(lambda value: value.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Texels:
        return Texels(**{item.name: change(getattr(self, item.name)) for item in dataclasses.fields(self)})


def read_map(gaussian_map: Tensor, layout: UVLayout) -> Texels:
    """The used texels of a map [14, S, S], in the layout's order; differentiable with respect to the map."""
    side = int(layout.size)
    if tuple(gaussian_map.shape) != (MAP_CHANNELS, side, side):
        raise InvalidInputError(
            f"The Gaussian map must have shape [{MAP_CHANNELS}, {side}, {side}] for this UV layout, "
            f"got {list(gaussian_map.shape)}."
        )
    row, col = layout.row_col.to(gaussian_map.device).unbind(-1)
    values = gaussian_map[:, row, col].T  # [N, 14]
    return Texels(values[:, 0:3], values[:, 3:6], values[:, 6:10], values[:, 10:13], values[:, 13])


def write_map(texels: Texels, layout: UVLayout) -> Tensor:
    """A float32 map [14, S, S]; texels outside the chart are zero."""
    side = int(layout.size)
    values = torch.cat(
        [texels.offset_m, texels.log_scale, texels.quaternion, texels.color, texels.opacity_logit[:, None]], dim=1
    )
    out = values.new_zeros(MAP_CHANNELS, side, side)
    row, col = layout.row_col.to(values.device).unbind(-1)
    out[:, row, col] = values.T
    return out


def initial_texels(layout: UVLayout, color: Tensor | float = 0.5, config: GaussianConfig | None = None) -> Texels:
    """Flat discs on the surface: in-plane 0.8 x the texel spacing, thin along the normal (axis 1 of the frame)."""
    cfg = config or GaussianConfig()
    spacing = layout.spacing_m.to(torch.float32)
    n = int(spacing.shape[0])
    flat = cfg.spacing_ratio * spacing
    thin = (cfg.normal_ratio * spacing).clamp_max(cfg.normal_max_m)
    quaternion = torch.zeros(n, 4)
    quaternion[:, 0] = 1.0
    colors = torch.full((n, 3), float(color)) if not isinstance(color, Tensor) else color.to(torch.float32).expand(n, 3)
    return Texels(
        offset_m=torch.zeros(n, 3),
        log_scale=torch.stack([flat, thin, flat], dim=1).clamp_min(1e-6).log(),
        quaternion=quaternion,
        color=colors.clone(),
        opacity_logit=torch.full((n,), cfg.opacity_logit),
    )
