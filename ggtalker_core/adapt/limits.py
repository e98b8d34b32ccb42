"""Hard limits on the map, put back in force after every step: sizes, and how far a disc of skin may tilt."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .cpu import kernels

if TYPE_CHECKING:
    from ..gaussians.texels import Texels
    from .losses import MapPrior

_TINY_M = 1e-6
_FINE = 128  # texels along a side that are small enough
_NORMAL = 1  # of a texel's three axes: the surface's normal, about which a disc may turn freely
_TILT_RAD = math.radians(6.0)


class Limits:
    """What no step may leave; holds tensors of the drawn texels."""

    def __init__(self, prior: MapPrior, scale_most_m: float, uv_size: int):
        """Limits of `prior`; no texel is held below `scale_most_m`, and those of coarse maps may be larger."""
        coarse = max(1.0, _FINE / uv_size)  # few texels must be large to meet
        self._most = prior.scale_most_m.clamp_min(scale_most_m * coarse).log()[:, None]  # [N, 1]
        least = prior.scale_min_m.clamp_min(_TINY_M).log()
        nothing = torch.full_like(least[:, 0], math.log(_TINY_M))
        self._least = torch.minimum(torch.stack([least[:, 0], nothing, least[:, 1]], dim=1), self._most)  # [N, 3]
        self._skin = prior.flat > 0
        self._compiled = kernels() if self._least.device.type == "cpu" else None

    @torch.no_grad()
    def hold(self, texels: Texels) -> None:
        """Put the leaves of `texels` back inside the limits, in place."""
        if self._compiled is not None and texels.log_scale.dtype == torch.float32:
            values = (texels.log_scale.detach(), texels.quaternion.detach(), self._least, self._most[:, 0], self._skin)
            self._compiled.hold(*(value.numpy() for value in values), np.float32(math.sin(_TILT_RAD / 2)))
            return
        texels.log_scale.clamp_(self._least, self._most)
        thin = texels.log_scale[:, [0, 2]].amin(1)
        normal = texels.log_scale[:, _NORMAL]
        normal.copy_(torch.where(self._skin, torch.minimum(normal, thin), normal))
        texels.quaternion.copy_(torch.where(self._skin[:, None], upright(texels.quaternion), texels.quaternion))


def upright(quaternion: Tensor, most_rad: float = _TILT_RAD) -> Tensor:
    """Rotations [N, 4] wxyz whose second axis leans from where it was by at most `most_rad`, otherwise the same.

    Discs of skin that lie in the surface cover it from every side. Tilted ones cover it from where the frames look;
    from elsewhere they are seen on edge, and what lies behind shows between them as a grid of specks.
    """
    q = torch.nn.functional.normalize(quaternion, dim=-1)
    lean = torch.stack([q[:, 1], q[:, 3]], dim=1)  # the half sine of the tilt's angle
    turn = torch.stack([q[:, 0], q[:, 2]], dim=1)
    size = lean.norm(dim=1, keepdim=True)
    kept = size.clamp_max(math.sin(most_rad / 2))
    lean = lean * (kept / size.clamp_min(1e-9))
    whole = turn.norm(dim=1, keepdim=True)
    about = torch.where(whole > 1e-6, turn / whole.clamp_min(1e-9), turn.new_tensor([1.0, 0.0]))
    turn = about * (1 - kept.square()).sqrt()
    out = torch.stack([turn[:, 0], lean[:, 0], turn[:, 1], lean[:, 1]], dim=1)
    return torch.where(size > kept, out, quaternion)
