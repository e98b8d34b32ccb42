"""The shape of hair and neck, learned from the pictures.

What the outline tells of it (hair.py) is the start: lengths along normals, seen in profile only. Here a smooth field
of offsets is a leaf of the fit. It is a sum of the lowest waves over scalp and neck that vanish at the face, so few
numbers are learned and nothing can tear. How hair follows the pose (sway.py) is not learned in this way: on a clip with
cuts it followed what held for the fitted stretch only, and cost .7 dB in the frames after it, even where frames that
were withheld had to agree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..gaussians.avatar_renderer import rest_vertices
from ..gaussians.rigging import make_rig

if TYPE_CHECKING:
    from ..head import HeadModel, UVLayout

_WAVES = 32


class HairShape:
    """The learned part of the vertices' offset: amounts [W, 3] of W waves."""

    def __init__(self, head: HeadModel, device: torch.device):
        """Begin with no change."""
        self.waves = smooth_waves(head, _WAVES).to(device)  # [V, W]
        self.amounts_m = torch.zeros(self.waves.shape[1], 3, device=device, requires_grad=True)

    def offset_m(self) -> Tensor:
        """In head axes [V, 3]; differentiable."""
        return self.waves @ self.amounts_m


def size_change(head: HeadModel, layout: UVLayout, shape: Tensor, before_m: Tensor, after_m: Tensor) -> Tensor:
    """What the logarithm of every texel's size gains [N] when the offset [V, 3] of the neutral head is another one.

    Texels grow with their triangle against its size at rest, and a fit knew the rest of `before_m` only.
    """
    was, now = (
        make_rig(layout, head.faces, rest_vertices(head, shape, offset)) for offset in (before_m, after_m)
    )  # fmt: skip
    return 0.5 * (now.rest_area_m2 / was.rest_area_m2).log()[was.texel_triangle]


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
