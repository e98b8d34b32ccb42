"""Hair and neck learn from the pictures how they hang: a smooth shape, and how it follows the head's pose.

The neck belongs to the body and long hair lies on it: neither turns with the skull. What the outline tells of this
(sway.py) is the start; here both are leaves of the fit. The field is a sum of the smoothest waves over scalp and neck
that vanish at the face, so few numbers are learned and nothing can tear.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from ..head import HeadModel
    from ..types import HairSway

_WAVES = 32
_POSE = 6  # numbers of the pose that a sway follows


class Hanging:
    """The learned part of the hair's shape and motion: leaves [7, W, 3] over W waves, the last of them the shape."""

    def __init__(self, head: HeadModel, start: HairSway, device: torch.device):
        """Begin with the motion `start` and no change of the shape."""
        self.start = start.to(device)
        self.waves = smooth_waves(head, _WAVES).to(device)  # [V, W]
        self.amounts_m = torch.zeros(_POSE + 1, self.waves.shape[1], 3, device=device, requires_grad=True)

    def sway(self) -> HairSway:
        """The motion as it stands; differentiable."""
        return replace(self.start, basis_m=self.start.basis_m + self._fields(self.amounts_m[:_POSE]))

    def shape_m(self) -> Tensor:
        """What the shape changed by, in head axes [V, 3]; differentiable."""
        return self._fields(self.amounts_m[_POSE:])[0]

    def _fields(self, amounts_m: Tensor) -> Tensor:
        """[K, W, 3] -> [K, V, 3]."""
        return torch.einsum("vw,kwc->kvc", self.waves, amounts_m)


def smooth_waves(head: HeadModel, count: int) -> Tensor:
    """The `count` lowest modes of the graph Laplacian over scalp and neck with the rest of the head held, [V, W].

    Each is scaled to a largest value of 1; fewer where there are fewer vertices.
    """
    free = head.regions.vertices("scalp", "neck").numpy()
    faces = head.faces[head.regions.faces("scalp", "neck", "face", "ears", "brows")].numpy()
    edges = np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1), axis=0)
    place = np.cumsum(free) - 1
    n = int(free.sum())
    degree = np.bincount(edges.ravel(), minlength=len(free))[free]
    inside = edges[free[edges].all(1)]
    laplacian = np.diag(degree.astype(np.float64))
    a, b = place[inside[:, 0]], place[inside[:, 1]]
    laplacian[a, b] -= 1
    laplacian[b, a] -= 1
    _, modes = np.linalg.eigh(laplacian)
    modes = modes[:, : min(count, n)]
    modes /= np.abs(modes).max(axis=0, keepdims=True)
    out = np.zeros((len(free), modes.shape[1]), np.float32)
    out[free] = modes
    return torch.from_numpy(out)
