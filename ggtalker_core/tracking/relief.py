"""A static offset of the surface along its normals that makes the skin's colours agree over frames from many sides.

A sample that lies too deep slides over the picture as the head turns. Its albedo is unknown too, so only what changes
from frame to frame counts: misfits and their derivatives are taken from their means over the frames. Neighbours are
held together by the mesh's Laplacian; what was never seen stays where it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .photometric import Seen
from .skin import Skin, vertex_normals

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from ..head import HeadModel

_LIMIT_M = 0.006
_FIRM = ("lips", "lids", "cavity", "socket", "eyes_left", "eyes_right", "tongue", "teeth_upper", "teeth_lower")


@dataclass(frozen=True)
class ReliefPrior:
    """How hard it is to leave the head's own shape; per keyframe, in units per millimetre squared."""

    smooth: float = 8.0
    small: float = 0.02
    firm: float = 50.0  # the same where lips, lids, eyes and teeth must go on meeting each other


def relief_step(
    head: HeadModel, shape: Tensor, skin: Skin, seen: Seen, height_m: Tensor, prior: ReliefPrior
) -> tuple[Tensor, Tensor]:
    """New heights [V] along the rest normals and the offset [V, 3] they make. `height_m` [V]: those so far."""
    import numpy as np
    import torch
    from scipy.sparse import csr_matrix, diags
    from scipy.sparse.linalg import spsolve

    along = (seen.by_head @ skin.normals[None, :, :, None])[..., 0] * 1e-3  # [K, N, 2] by millimetre
    rows = (seen.slope @ along[..., None])[..., 0]  # [K, N, 3]
    weights = seen.weights[..., None]
    total = weights.sum(0).clamp(min=1e-6)
    rows = rows - (weights * rows).sum(0) / total
    error = seen.error - (weights * seen.error).sum(0) / total
    stiff = (weights * rows * rows).sum((0, 2)).double().numpy()  # [N]
    pull = -(weights * rows * error).sum((0, 2)).double().numpy()
    n, v = len(stiff), head.n_vertices
    place = np.repeat(np.arange(n), 3)
    spread = csr_matrix((skin.barycentric.double().numpy().ravel(), (place, skin.triangles.numpy().ravel())), (n, v))
    bend = _laplacian(head.faces.numpy(), v)
    now = height_m.double().numpy() * 1e3
    firm = head.regions.vertices(*_FIRM).double().numpy()
    frames = len(seen.weights)
    hold = frames * (prior.smooth * bend.T @ bend + prior.small * diags(np.ones(v)) + prior.firm * diags(firm))
    system = spread.T @ diags(stiff) @ spread + hold
    step = np.asarray(spsolve(system.tocsc(), spread.T @ pull - hold @ now))
    height = torch.from_numpy(now + step).float() * 1e-3
    height = height.clamp(-_LIMIT_M, _LIMIT_M)
    rest = head.rest()
    vertices = head.vertices(shape[None], rest["expression"], rest["jaw_rad"], rest["neck_rad"], rest["eyes_rad"])[0]
    return height, height[:, None] * vertex_normals(vertices, head.faces)


def _laplacian(faces: NDArray[np.int64], count: int):
    """Each vertex less the mean of its neighbours, sparse [V, V]."""
    import numpy as np
    from scipy.sparse import csr_matrix, diags

    a = np.concatenate([faces[:, [0, 1, 2]].ravel(), faces[:, [1, 2, 0]].ravel()])
    b = np.concatenate([faces[:, [1, 2, 0]].ravel(), faces[:, [0, 1, 2]].ravel()])
    near = csr_matrix((np.ones(len(a)), (a, b)), (count, count))
    near.data[:] = 1.0
    degree = np.asarray(near.sum(1)).ravel().clip(min=1)
    return diags(np.ones(count)) - diags(1 / degree) @ near
