"""Small helpers on triangle meshes: mirror map, neighbours, rings, boundary loop, areas, symmetric triangulation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Points = NDArray[np.float64]
Ids = NDArray[np.int64]
FLIP = np.array([-1.0, 1.0, 1.0])


def mirror_map(vertices: Points) -> Ids:
    """The vertex at the mirrored place, [V]. Raises ValueError unless it is a pairing."""
    mirror = cKDTree(vertices).query(vertices * FLIP)[1]
    if not (mirror[mirror] == np.arange(len(mirror))).all():
        raise ValueError("the mesh is not mirror symmetric")
    return mirror


def symmetric(points: Points, mirror: Ids) -> Points:
    """The mean of a vertex field [V, 3] and its mirror image."""
    return (points + points[mirror] * FLIP) / 2


def neighbours(faces: Ids, n: int) -> list[set[int]]:
    out: list[set[int]] = [set() for _ in range(n)]
    for a, b, c in faces.tolist():
        out[a].update((b, c))
        out[b].update((a, c))
        out[c].update((a, b))
    return out


def rings(adjacent: list[set[int]], seed: Ids | list[int], allowed: NDArray[np.bool_]) -> Ids:
    """Number of edges from `seed`, walking over allowed vertices only; 99 where it is not reached."""
    out = np.full(len(adjacent), 99)
    out[list(seed)] = 0
    current, k = set(map(int, seed)), 0
    while current:
        k += 1
        current = {j for i in current for j in adjacent[i] if out[j] == 99 and allowed[j]}
        out[list(current)] = k
    return out


def boundary_loop(faces: Ids) -> list[int]:
    """The only boundary of a disk, in the direction of its triangles. Raises ValueError for more than one."""
    edges = {(int(t[i]), int(t[(i + 1) % 3])) for t in faces for i in range(3)}
    following = {a: b for a, b in edges if (b, a) not in edges}
    start = min(following)
    out = [start]
    while following[out[-1]] != start:
        out.append(following[out[-1]])
    if len(out) != len(following):
        raise ValueError("more than one boundary loop")
    return out


def areas(vertices: Points, faces: Ids) -> NDArray[np.float64]:
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    return 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)


def normals(vertices: Points, faces: Ids) -> Points:
    """Unit normals of the triangles, [F, 3]."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    n = np.cross(b - a, c - a)
    return n / np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-15)


def renumber(faces: Ids) -> tuple[Ids, Ids]:
    """(vertex ids in use, the faces in their numbering)."""
    ids, local = np.unique(faces, return_inverse=True)
    return ids, local.reshape(faces.shape)


def symmetric_faces(vertices: Points, faces: Ids, mirror: Ids) -> Ids:
    """Eight quads of the tongue have the other diagonal on the other side: copy them from x > 0, in the same slots.

    Raises ValueError unless the result is mirror symmetric and oriented.
    """
    x = np.where(mirror == np.arange(len(mirror)), 0, vertices[:, 0])
    known = {tuple(sorted(t)) for t in faces.tolist()}
    odd = [i for i, t in enumerate(faces) if tuple(sorted(mirror[t].tolist())) not in known]
    plus = _quads(faces, [i for i in odd if x[faces[i]].min() >= 0])
    minus = _quads(faces, [i for i in odd if x[faces[i]].min() < 0])
    out = faces.copy()
    for corners, pair in plus.items():
        other = minus.get(frozenset(int(mirror[k]) for k in corners))
        if other is not None:
            for source, slot in zip(pair, other):
                out[slot] = mirror[faces[source]][::-1]
    known = {tuple(sorted(t)) for t in out.tolist()}
    edges = {(int(t[i]), int(t[(i + 1) % 3])) for t in out for i in range(3)}
    if len(edges) != 3 * len(out) or any(tuple(sorted(mirror[t].tolist())) not in known for t in out):
        raise ValueError("the triangulation could not be made symmetric")
    return out


def _quads(faces: Ids, triangles: list[int]) -> dict[frozenset[int], tuple[int, int]]:
    """Pairs of triangles that share an edge, by their four corners."""
    out = {}
    for k, i in enumerate(triangles):
        for j in triangles[k + 1 :]:
            corners = frozenset(faces[i].tolist()) | frozenset(faces[j].tolist())
            if len(corners) == 4:
                out[corners] = (i, j)
    return out


def mirror_of_faces(faces: Ids, mirror: Ids) -> Ids:
    """The triangle on the other side, [F]."""
    slot = {tuple(sorted(t)): i for i, t in enumerate(faces.tolist())}
    return np.array([slot[tuple(sorted(mirror[t].tolist()))] for t in faces])


def closest_on_surface(points: Points, v: Points, faces: Ids) -> tuple[Ids, Points]:
    """Nearest place on the triangles `faces` of vertices v: (row of `faces` [N], barycentric [N, 3])."""
    centre = v[faces].mean(1)
    best, weights = np.zeros(len(points), np.int64), np.zeros((len(points), 3))
    for i, p in enumerate(points):
        near = np.argsort(((centre - p) ** 2).sum(1))[:24]
        options = [nearest_in_triangle(p, *v[faces[k]]) for k in near]
        k = int(np.argmin([np.linalg.norm(b @ v[faces[j]] - p) for j, b in zip(near, options)]))
        best[i], weights[i] = near[k], options[k]
    return best, weights


def nearest_in_triangle(p: Points, a: Points, b: Points, c: Points) -> Points:
    """Barycentric coordinates of the place in the triangle that is nearest to p. [3]"""
    edges = np.stack([b - a, c - a], 1)
    s, t = np.linalg.lstsq(edges, p - a, rcond=None)[0]
    inside = np.array([1 - s - t, s, t])
    if (inside >= 0).all():
        return inside
    best, options = np.inf, inside
    for i, (q, r) in enumerate(((a, b), (b, c), (c, a))):
        u = float(np.clip((p - q) @ (r - q) / max((r - q) @ (r - q), 1e-18), 0, 1))
        distance = float(np.linalg.norm(q + u * (r - q) - p))
        if distance < best:
            best, options = distance, np.zeros(3)
            options[i], options[(i + 1) % 3] = 1 - u, u
    return options
