"""Hair: vertices of scalp, nape and sides of the neck are pushed outwards until they fill the person's matte.

Long hair beside face and neck becomes a curtain that hangs from the sides of the neck.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..body.parts import chin_height_m
from ..body.shoulders import head_sides
from .geometry import NECK_FULL_M, NECK_NONE_M, frame_vertices, project

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..head import HeadModel
    from ..types import HairSway, Track
    from .frames import FrameStore

MAX_FRAMES = 60
_INWARD_M = -0.012
LONGEST_M = 0.10
_STEPS = 64
_SIDEWAYS = 0.3  # |cosine| between normal and line of sight below which a vertex lies on the silhouette
_MIN_SEEN = 3
_SEEN_WEIGHT = 20.0  # of a seen length against smoothness


def hair_offset(
    head: HeadModel, track: Track, store: FrameStore, sway: HairSway | None = None
) -> tuple[Tensor, int]:  # fmt: skip
    """The static offset of every vertex in head axes [V, 3], and how many vertices were seen on a silhouette."""
    loose, normals, skin, sighted = loose_vertices(head, track)
    seen = observed(head, track, store, sighted, skin, MAX_FRAMES, sway)
    many = np.array([len(values) >= _MIN_SEEN for values in seen]) & sighted
    if not many.any():
        return torch.zeros_like(normals), 0
    known = np.array([float(np.median([x for _, x in values])) if ok else 0.0 for values, ok in zip(seen, many)])
    length = spread_lengths(known, many, loose, skin.numpy(), head)
    length = np.clip(length, _INWARD_M, LONGEST_M).astype(np.float32)
    return normals * torch.from_numpy(length)[:, None], int(many.sum())


def loose_vertices(
    head: HeadModel, track: Track
) -> tuple[NDArray[np.bool_], Tensor, Tensor, NDArray[np.bool_]]:  # fmt: skip
    """Vertices that may be hair [V], normals of the neutral head [V, 3], triangles of the skin [F, 3], and those of
    the loose vertices whose place frames can tell [V]."""
    rest = head.rest()
    rest["shape"] = track.shape[None]
    neutral = head.vertices(**rest)[0]
    skin = head.faces[head.regions.faces("scalp", "face", "neck", "ears", "brows", "nose", "lids", "lips")]
    normals = vertex_normals(neutral[None], skin)[0]
    scalp = head.regions.vertices("scalp")
    # Not the throat: it is skin in every picture, and what lies beside it hangs from the sides and the nape.
    side = head.regions.vertices("neck") & (normals[:, 2] < 0.15) & (normals[:, 1] > -0.5)
    loose = (scalp | side).numpy()
    # Below the neck line the matte beside the neck is a shoulder.
    return loose, normals, skin, loose & (neutral[:, 1] > chin_height_m(head, track.shape) - NECK_NONE_M).numpy()


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Area-weighted unit normals [B, V, 3] of the vertices that `faces` touch; zero elsewhere."""
    a, b, c = (vertices[:, faces[:, k]] for k in range(3))
    cross = torch.linalg.cross(b - a, c - a)
    normals = torch.zeros_like(vertices)
    for k in range(3):
        normals.index_add_(1, faces[:, k], cross)
    return torch.nn.functional.normalize(normals, dim=-1, eps=1e-12)


def observed(
    head: HeadModel, track: Track, store: FrameStore, loose: NDArray[np.bool_], skin: Tensor, frames: int,
    sway: HairSway | None = None, sideways: float = _SIDEWAYS,
) -> list[list[tuple[int, float]]]:  # fmt: skip
    """Per vertex: (kept frame, how far along its normal the matte ended there), for the frames that show it in profile.

    At most `frames` frames are looked at; what `sway` moves is taken off.
    """
    from ..head.pose import axis_angle_to_matrix

    seen: list[list[tuple[int, float]]] = [[] for _ in range(len(loose))]
    steps = torch.linspace(_INWARD_M, LONGEST_M + 0.02, _STEPS)
    picks = np.unique(np.linspace(0, store.count - 1, min(frames, store.count)).round().astype(int))
    lowest = chin_height_m(head, track.shape) - NECK_FULL_M
    for k in picks:
        vertices = frame_vertices(head, track, [store.indices[k]], sway=sway)
        normals = vertex_normals(vertices, skin)[0]
        sight = torch.nn.functional.normalize(vertices[0], dim=-1)
        profile = torch.from_numpy(loose) & ((normals * sight).sum(-1).abs() < sideways)
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
        # What lies below the neck line is a shoulder, and where one was cut off is no outline: a ray that ends there
        # tells nothing.
        sides = head_sides(store.mattes[k], store.landmarks[k])
        last = pixels[row, end]
        uncut = sides.outside(last[:, 0], last[:, 1]) < -2 * sides.soft
        frame = store.indices[k]
        turn = axis_angle_to_matrix(track.rotation_rad[frame : frame + 1])[0]
        height = ((ray - track.translation_m[frame]) @ turn)[..., 1].numpy()  # head axes
        good = inside[:, 0] & ~inside.all(1) & in_picture & uncut & (height[row, end] > lowest)
        for vertex, step in zip(ids[torch.from_numpy(good)].tolist(), end[good]):
            seen[vertex].append((int(k), float(steps[step])))
    return seen


def spread_lengths(
    known: NDArray[np.float64], many: NDArray[np.bool_], loose: NDArray[np.bool_], skin: NDArray[np.int64],
    head: HeadModel,
) -> NDArray[np.float64]:  # fmt: skip
    """Smooth lengths over the loose vertices that agree with the known ones and vanish on the others; what no frame
    shows is taken from the mirror image."""
    import scipy.sparse as sp
    import scipy.sparse.linalg as solver

    n = len(known)
    if head.mirror is not None:  # what only one side showed holds, more weakly, for the other
        mirror = head.mirror.numpy()
        borrowed = loose & ~many & many[mirror]
        known = np.where(borrowed, known[mirror], known)
        weight = np.where(many, _SEEN_WEIGHT, np.where(borrowed, 0.1 * _SEEN_WEIGHT, 0.0))
    else:
        weight = _SEEN_WEIGHT * many.astype(np.float64)
    edges = np.unique(np.sort(np.concatenate([skin[:, [0, 1]], skin[:, [1, 2]], skin[:, [2, 0]]]), axis=1), axis=0)
    rows, cols = np.r_[edges[:, 0], edges[:, 1]], np.r_[edges[:, 1], edges[:, 0]]
    adjacency = sp.coo_matrix((np.ones(len(rows)), (rows, cols)), shape=(n, n)).tocsr()
    laplacian = sp.diags(np.asarray(adjacency.sum(1)).ravel()) - adjacency
    pin = np.where(loose, 0.0, 1e3)
    system = 3.0 * laplacian + 0.02 * laplacian @ laplacian + sp.diags(weight + pin + 1e-6)
    return np.asarray(solver.spsolve(system.tocsc(), weight * known))
