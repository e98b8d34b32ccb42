"""Hair: scalp vertices are pushed along their normals until the projected skull fills the person's matte."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from .geometry import HAIR_ROOM_M, frame_vertices, project

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..head import HeadModel
    from ..types import Track
    from .frames import FrameStore

MAX_FRAMES = 60
_INWARD_M = -0.012
_STEPS = 48
_SIDEWAYS = 0.3  # |cosine| between normal and line of sight below which a vertex lies on the silhouette
_MIN_SEEN = 3


def hair_offset(head: HeadModel, track: Track, store: FrameStore) -> tuple[Tensor, int]:
    """The static offset of every vertex in head axes [V, 3], and how many vertices were seen on a silhouette."""
    scalp = head.regions.vertices("scalp").numpy()
    rest = head.rest()
    rest["shape"] = track.shape[None]
    neutral = head.vertices(**rest)[0]
    skin = head.faces[head.regions.faces("scalp", "face", "neck", "ears", "brows", "nose", "lids", "lips")]
    seen = _observed(head, track, store, scalp, skin)
    many = np.array([len(values) >= _MIN_SEEN for values in seen]) & scalp
    if not many.any():
        return torch.zeros_like(neutral), 0
    known = np.array([float(np.median(values)) if ok else 0.0 for values, ok in zip(seen, many)])
    length = _spread(known, many, scalp, skin.numpy(), head)
    length = np.clip(length, _INWARD_M, HAIR_ROOM_M).astype(np.float32)
    normals = vertex_normals(neutral[None], skin)[0]
    return normals * torch.from_numpy(length)[:, None], int(many.sum())


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Area-weighted unit normals [B, V, 3] of the vertices that `faces` touch; zero elsewhere."""
    a, b, c = (vertices[:, faces[:, k]] for k in range(3))
    cross = torch.linalg.cross(b - a, c - a)
    normals = torch.zeros_like(vertices)
    for k in range(3):
        normals.index_add_(1, faces[:, k], cross)
    return torch.nn.functional.normalize(normals, dim=-1, eps=1e-12)


def _observed(
    head: HeadModel, track: Track, store: FrameStore, scalp: NDArray[np.bool_], skin: Tensor
) -> list[list[float]]:
    """Per vertex: how far along its normal the matte ended, in every frame that shows it in profile."""
    seen: list[list[float]] = [[] for _ in range(len(scalp))]
    steps = torch.linspace(_INWARD_M, HAIR_ROOM_M + 0.025, _STEPS)
    picks = np.unique(np.linspace(0, store.count - 1, min(MAX_FRAMES, store.count)).round().astype(int))
    for k in picks:
        vertices = frame_vertices(head, track, [store.indices[k]])
        normals = vertex_normals(vertices, skin)[0]
        sight = torch.nn.functional.normalize(vertices[0], dim=-1)
        profile = torch.from_numpy(scalp) & ((normals * sight).sum(-1).abs() < _SIDEWAYS)
        ids = profile.nonzero().flatten()
        ray = vertices[0, ids, None] + normals[ids, None] * steps[None, :, None]  # [P, steps, 3]
        intrinsics, width, height = store.camera(int(k))
        pixels = project(ray, intrinsics).numpy()
        limit = np.array([width - 1, height - 1])
        place = np.clip(np.floor(pixels).astype(int), 0, limit)
        inside = store.mattes[k][place[..., 1], place[..., 0]] > 127
        end = np.argmin(inside, axis=1)  # the first step outside the person
        row = np.arange(len(ids))
        in_picture = ((pixels[row, end] > 1) & (pixels[row, end] < limit - 1)).all(-1)
        good = inside[:, 0] & ~inside.all(1) & in_picture
        for vertex, step in zip(ids[torch.from_numpy(good)].tolist(), end[good]):
            seen[vertex].append(float(steps[step]))
    return seen


def _spread(
    known: NDArray[np.float64], many: NDArray[np.bool_], scalp: NDArray[np.bool_], skin: NDArray[np.int64],
    head: HeadModel,
) -> NDArray[np.float64]:  # fmt: skip
    """Smooth lengths over the scalp that agree with the known ones and vanish outside it; symmetric where unseen."""
    import scipy.sparse as sp
    import scipy.sparse.linalg as solver

    n = len(known)
    if head.mirror is not None:  # what only one side showed holds, more weakly, for the other
        mirror = head.mirror.numpy()
        borrowed = scalp & ~many & many[mirror]
        known = np.where(borrowed, known[mirror], known)
        weight = np.where(many, 1.0, np.where(borrowed, 0.2, 0.0))
    else:
        weight = many.astype(np.float64)
    edges = np.unique(np.sort(np.concatenate([skin[:, [0, 1]], skin[:, [1, 2]], skin[:, [2, 0]]]), axis=1), axis=0)
    rows, cols = np.r_[edges[:, 0], edges[:, 1]], np.r_[edges[:, 1], edges[:, 0]]
    adjacency = sp.coo_matrix((np.ones(len(rows)), (rows, cols)), shape=(n, n)).tocsr()
    laplacian = sp.diags(np.asarray(adjacency.sum(1)).ravel()) - adjacency
    pin = np.where(scalp, 0.0, 1e3)
    system = 3.0 * laplacian + 0.02 * laplacian @ laplacian + sp.diags(weight + pin + 1e-6)
    return np.asarray(solver.spsolve(system.tocsc(), weight * known))
