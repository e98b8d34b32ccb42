"""Carries what is known of the default head's surface (landmarks, regions, lip and lid pairs, UV page) to another head.

The default head is fitted to the other head's template: a similarity and identity coefficients, by alternating nearest
points and least squares. Each known place then goes to the nearest place of the other surface. Both heads must stand in
the same axes (y up, z to the viewer) and in metres.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .landmarks import LandmarkEmbedding
from .regions import RegionMasks, masks_from_faces

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from .model import HeadModel

_FITTED = ("face", "nose", "lips", "lids", "brows", "ears")
_ROUNDS, _TRIM = 40, 0.9  # the farthest tenth of the points does not count
_RIDGE = 3e-6  # metres squared per standard deviation squared: how much an identity coefficient costs


@dataclass(frozen=True)
class CarriedOver:
    """The default head's knowledge on another head."""

    regions: RegionMasks
    landmarks: LandmarkEmbedding
    lip_pairs: Tensor
    lip_corners: Tensor
    lid_pairs: Tensor
    lid_corners: Tensor
    fitted_m: NDArray[np.float64]  # [4706, 3] the default head in the other head's place and shape


def carry_over(template_m: Tensor, faces: Tensor, skin_weights: Tensor) -> CarriedOver:
    """Fit the default head to `template_m` [V, 3] with triangles `faces` [F, 3] and carry everything over.

    skin_weights: [V, 5], which tell the lower lip from the upper one that it touches, and lids from eyeballs.
    """
    import numpy as np
    import torch
    from scipy.spatial import KDTree

    from .model import load_head

    head = load_head("default")
    target = template_m.double().numpy()
    fitted = fit_default(head, target, faces.numpy())
    points = head.landmarks.points(torch.from_numpy(fitted)[None].to(head.landmarks.barycentric))[0].double().numpy()
    of_point = parts(head.skin_weights[head.landmarks.triangles].mean(1))
    corners, barycentric = nearest_like(points, of_point, target, faces.numpy(), parts(skin_weights[faces].mean(1)))

    def vertices(ids: Tensor, among: NDArray[np.bool_] | None = None) -> Tensor:
        allowed = np.arange(len(target)) if among is None or not among.any() else np.flatnonzero(among)
        found = KDTree(target[allowed]).query(fitted[ids.numpy()])[1]
        return torch.from_numpy(allowed[np.asarray(found, dtype=np.int64)])

    below = parts(skin_weights) == 1

    centres = fitted[head.faces.numpy()].mean(1)
    of_face = KDTree(centres).query(target[faces.numpy()].mean(1))[1]
    region = head.regions.of_face[torch.from_numpy(np.asarray(of_face, dtype=np.int64))]
    return CarriedOver(
        regions=masks_from_faces(region, faces, template_m[:, 0], head.regions.names),
        landmarks=LandmarkEmbedding(torch.from_numpy(corners), torch.from_numpy(barycentric).to(template_m.dtype)),
        lip_pairs=torch.stack([vertices(head.lip_pairs[:, 0], ~below), vertices(head.lip_pairs[:, 1], below)], 1),
        lip_corners=vertices(head.lip_corners),
        lid_pairs=vertices(head.lid_pairs),
        lid_corners=vertices(head.lid_corners),
        fitted_m=fitted,
    )


def fit_default(head: HeadModel, target: NDArray[np.float64], faces: NDArray[np.int64]) -> NDArray[np.float64]:
    """The default head's vertices [4706, 3] in the place and shape of another template [V, 3]."""
    import numpy as np
    from scipy.spatial import KDTree

    chosen = np.flatnonzero(head.regions.vertices(*_FITTED).numpy())
    template = head.template_m.double().numpy()[chosen]
    basis = head.shape_basis.double().numpy()[chosen]  # [K, 3, S]
    shape = np.zeros(head.n_shape)
    # The tip of the nose is the foremost point of any upright head.
    shift = target[target[:, 2].argmax()] - template[template[:, 2].argmax()]
    scale, turn = 1.0, np.eye(3)
    samples = np.concatenate([target, target[faces].mean(1), *_edge_middles(target, faces)])
    tree = KDTree(samples)
    for _ in range(_ROUNDS):
        own = template + basis @ shape
        distance, index = tree.query(scale * own @ turn.T + shift)
        goal = samples[index]
        used = distance <= np.quantile(distance, _TRIM)
        scale, turn, shift = similarity(own[used], goal[used])
        # The identity in its own axes: undo the similarity on the goal.
        rest = ((goal - shift) @ turn / scale - template)[used]
        a = basis[used].reshape(-1, basis.shape[2])
        normal = a.T @ a + _RIDGE * used.sum() * np.eye(a.shape[1])
        shape = np.linalg.solve(normal, a.T @ rest.reshape(-1))
    whole = head.template_m.double().numpy() + head.shape_basis.double().numpy() @ shape
    return scale * whole @ turn.T + shift


def _edge_middles(points: NDArray[np.float64], faces: NDArray[np.int64]) -> list[NDArray[np.float64]]:
    """Middles of the three edges of all triangles."""
    return [(points[faces[:, i]] + points[faces[:, (i + 1) % 3]]) / 2 for i in range(3)]


def similarity(
    a: NDArray[np.float64], b: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Scale, rotation, shift with b = scale R a + shift in the least squares sense (Umeyama 1991). a, b [N, 3]"""
    import numpy as np

    mean_a, mean_b = a.mean(0), b.mean(0)
    u, s, vt = np.linalg.svd((b - mean_b).T @ (a - mean_a))
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    turn = (u * sign) @ vt
    scale = float((s * sign).sum() / ((a - mean_a) ** 2).sum())
    return scale, turn, mean_b - scale * turn @ mean_a


def parts(skin_weights: Tensor) -> NDArray[np.int64]:
    """What each row of weights [N, 5] moves with: 0 the skull, 1 the jaw, 2 an eye."""
    import torch

    still = torch.zeros(len(skin_weights), dtype=torch.int64)
    still[skin_weights[:, 2] > 0.5], still[skin_weights[:, 3:].sum(1) > 0.5] = 1, 2
    return still.numpy()


def nearest_like(
    points: NDArray[np.float64], of_point: NDArray[np.int64], vertices: NDArray[np.float64], faces: NDArray[np.int64],
    of_face: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:  # fmt: skip
    """Nearest places among the triangles of the same part: (corners [N, 3], barycentric [N, 3]) for points [N, 3].

    Closed lips touch, and lids lie on eyeballs: what belongs to one must not be found on the other.
    """
    import numpy as np

    corners, barycentric = np.zeros((len(points), 3), np.int64), np.zeros((len(points), 3))
    for part in np.unique(of_point):
        rows, own = of_point == part, faces[of_face == part]
        own = faces if len(own) == 0 else own
        triangle, barycentric[rows] = nearest_on_surface(points[rows], vertices, own)
        corners[rows] = own[triangle]
    return corners, barycentric


def nearest_on_surface(
    points: NDArray[np.float64], vertices: NDArray[np.float64], faces: NDArray[np.int64], candidates: int = 16
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Nearest places of a triangle mesh: (triangle [N], barycentric [N, 3]) for points [N, 3].

    Of each point the triangles with the nearest centres are tried.
    """
    import numpy as np
    from scipy.spatial import KDTree

    centres = vertices[faces].mean(1)
    near = np.asarray(KDTree(centres).query(points, k=min(candidates, len(faces)))[1]).reshape(len(points), -1)
    corners = vertices[faces[near]]  # [N, C, 3, 3]
    weights = _closest_weights(points[:, None], corners[:, :, 0], corners[:, :, 1], corners[:, :, 2])
    places = (weights[..., None] * corners).sum(2)
    best = np.linalg.norm(places - points[:, None], axis=-1).argmin(1)
    rows = np.arange(len(points))
    return near[rows, best], weights[rows, best]


def _closest_weights(
    p: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64], c: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Barycentric weights of the nearest place in each triangle, [..., 3]: inside, or the best of the three edges."""
    import numpy as np

    def dot(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        return (x * y).sum(-1)

    e1, e2, d = b - a, c - a, p - a
    g11, g12, g22, h1, h2 = dot(e1, e1), dot(e1, e2), dot(e2, e2), dot(d, e1), dot(d, e2)
    det = np.maximum(g11 * g22 - g12 * g12, 1e-30)
    s, t = (g22 * h1 - g12 * h2) / det, (g11 * h2 - g12 * h1) / det
    inside = np.stack([1 - s - t, s, t], -1)
    best, options = np.full(s.shape, np.inf), inside.copy()
    for i, (q, r) in enumerate(((a, b), (b, c), (c, a))):
        u = np.clip(dot(p - q, r - q) / np.maximum(dot(r - q, r - q), 1e-30), 0, 1)
        distance = np.linalg.norm(q + u[..., None] * (r - q) - p, axis=-1)
        edge = np.zeros_like(inside)
        edge[..., i], edge[..., (i + 1) % 3] = 1 - u, u
        better = distance < best
        best = np.where(better, distance, best)
        options = np.where(better[..., None], edge, options)
    return np.where((inside >= 0).all(-1, keepdims=True), inside, options)
