"""Flattening of a disk into a rectangle: Tutte map, then SLIM (scalable locally injective maps), with sliding sides.

Source: Rabinovich et al., Scalable Locally Injective Mappings, ACM TOG 2017 (symmetric Dirichlet energy, reweighted
local-global steps); flip-free step length after Smith and Schaefer 2015. Own code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as sla
from numpy.typing import NDArray
from surface import neighbours

Points = NDArray[np.float64]
Ids = NDArray[np.int64]
Weights = NDArray[np.float64]
Reweight = Callable[[Points, Ids], Weights]  # (uv, faces) -> new area weights


@dataclass(frozen=True)
class Gradients:
    """Derivatives on the flattened triangles, and the triangles' share in the energy."""

    x: sp.csr_matrix  # [F, V]
    y: sp.csr_matrix  # [F, V]
    share: Weights  # [F]

    def jacobians(self, uv: Points) -> NDArray[np.float64]:
        """[F, 2, 2]"""
        gx, gy = self.x @ uv, self.y @ uv
        return np.stack([np.stack([gx[:, k], gy[:, k]], -1) for k in (0, 1)], 1)

    def energy(self, uv: Points) -> float:
        """Symmetric Dirichlet energy, 4 at best; infinite where a triangle is flipped."""
        j = self.jacobians(uv)
        det = np.linalg.det(j)
        if det.min() <= 0:
            return np.inf
        return float((self.share * (j**2).sum((1, 2)) * (1 + 1 / det**2)).sum() / self.share.sum())


def gradients(v: Points, f: Ids, weight: Weights, total: float, importance: Weights | float) -> Gradients:
    """Gradients on triangles scaled so that their areas are weight * surface area and sum to `total`."""
    a, b, c = v[f[:, 0]], v[f[:, 1]], v[f[:, 2]]
    length = np.linalg.norm(b - a, axis=1)
    along = (b - a) / length[:, None]
    cx = ((c - a) * along).sum(1)
    cy = np.linalg.norm((c - a) - cx[:, None] * along, axis=1)
    scale = np.sqrt(weight)
    scale = scale * np.sqrt(total / (0.5 * length * cy * scale**2).sum())
    length, cx, cy = length * scale, cx * scale, cy * scale
    gx = np.stack([-1 / length, 1 / length, 0 * length], 1)
    gy = np.stack([(cx - length) / (length * cy), -cx / (length * cy), 1 / cy], 1)
    rows = np.repeat(np.arange(len(f)), 3)
    matrix = [sp.csr_matrix((g.ravel(), (rows, f.ravel())), (len(f), len(v))) for g in (gx, gy)]
    return Gradients(matrix[0], matrix[1], 0.5 * length * cy * importance)


def longest_step(j: NDArray[np.float64], jp: NDArray[np.float64]) -> float:
    """Nine tenths of the way to the first flip along a direction, at most 1: roots of det(J + t Jp)."""
    a, c = np.linalg.det(jp), np.linalg.det(j)
    b = j[:, 0, 0] * jp[:, 1, 1] + j[:, 1, 1] * jp[:, 0, 0] - j[:, 0, 1] * jp[:, 1, 0] - j[:, 1, 0] * jp[:, 0, 1]
    disc = b**2 - 4 * a * c
    with np.errstate(all="ignore"):
        root = np.sqrt(np.maximum(disc, 0))
        t = np.stack([2 * c / (-b + root), 2 * c / (-b - root)], 1)
    t = np.where((disc[:, None] >= 0) & (t > 0) & np.isfinite(t), t, np.inf)
    return min(1.0, 0.9 * float(t.min()))


def descent(g: Gradients, uv: Points, free: Ids) -> Points:
    """The step of one reweighted least squares problem (local phase: closest rotations). [V, 2]"""
    j = g.jacobians(uv)
    u, s, vt = np.linalg.svd(j)
    s = np.maximum(s, 1e-6)
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = np.sqrt((s - s**-3) / (s - 1))
    weight = np.where(np.abs(s - 1) < 1e-4, 2.0, weight)
    w = u * weight[:, None, :] @ u.transpose(0, 2, 1)
    goal = w @ (u @ vt)
    rows = [sp.hstack([sp.diags(w[:, i, 0]) @ d, sp.diags(w[:, i, 1]) @ d]) for i in (0, 1) for d in (g.x, g.y)]
    system = sp.vstack(rows).tocsr()
    target = np.concatenate([goal[:, 0, 0], goal[:, 0, 1], goal[:, 1, 0], goal[:, 1, 1]])
    area = np.tile(g.share, 4)
    x = uv.T.ravel()
    normal = (system.T @ sp.diags(area) @ system).tocsr()
    rhs = system.T @ (area * (target - system @ x))
    reduced = normal[free][:, free] + 1e-8 * normal.diagonal().mean() * sp.eye(len(free))
    step = np.zeros(len(x))
    step[free] = sla.spsolve(reduced.tocsc(), rhs[free])
    return step.reshape(2, -1).T


def slim(g: Gradients, uv: Points, fixed: NDArray[np.bool_], iterations: int) -> Points:
    """Minimise the energy without ever flipping a triangle. fixed [V, 2]: coordinates that stay."""
    free = np.flatnonzero(~fixed.T.ravel())
    energy = g.energy(uv)
    for _ in range(iterations):
        step = descent(g, uv, free)
        t = longest_step(g.jacobians(uv), g.jacobians(step))
        while (now := g.energy(uv + t * step)) >= energy and t >= 1e-9:
            t *= 0.6
        if t < 1e-9:
            break
        uv = uv + t * step
        settled = energy - now < 1e-6 * now
        energy = now
        if settled:
            break
    return uv


def tutte(f: Ids, uv: Points, loop: list[int]) -> Points:
    """Uniform-weight harmonic map of a disk whose boundary is placed on a convex outline: no flips."""
    n = len(uv)
    pairs = np.array([(i, j) for i, near in enumerate(neighbours(f, n)) for j in near])
    link = sp.csr_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (n, n))
    laplace = (sp.diags(np.asarray(link.sum(1)).ravel()) - link).tocsr()
    inner = np.setdiff1d(np.arange(n), loop)
    out = uv.copy()
    if len(inner):
        out[inner] = sla.splu(laplace[inner][:, inner].tocsc()).solve(-laplace[inner][:, loop] @ uv[loop])
    return out


def place_sides(
    v: Points, f: Ids, weight: Weights, loop: list[int], corners: list[int], box: tuple[float, float, float, float]
) -> tuple[Points, NDArray[np.bool_]]:
    """Boundary vertices on the sides of the box by weighted length; (uv, fixed): they may slide along their side."""
    x0, y0, x1, y1 = box
    start = loop.index(corners[0])
    path = loop[start:] + loop[:start]
    stops = [*(path.index(c) for c in corners), len(path)]
    if stops != sorted(stops):
        raise ValueError("the corners are not in the order of the boundary")
    total, count = np.zeros(len(v)), np.zeros(len(v))
    for i in range(3):
        np.add.at(total, f[:, i], np.sqrt(weight))
        np.add.at(count, f[:, i], 1)
    size = total / count
    uv, fixed = np.zeros((len(v), 2)), np.zeros((len(v), 2), bool)
    outline = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]], float)
    for side in range(4):
        part = (path + path[:1])[stops[side] : stops[side + 1] + 1]
        lengths = [np.linalg.norm(v[a] - v[b]) * (size[a] + size[b]) / 2 for a, b in zip(part[:-1], part[1:])]
        t = np.concatenate([[0], np.cumsum(lengths) / np.sum(lengths)])
        uv[part] = outline[side] + t[:, None] * (outline[side + 1] - outline[side])
        fixed[part, 1 if side % 2 == 0 else 0] = True
    if fixed[f].all(1).any():
        raise ValueError("a triangle lies wholly on one side of the chart")
    return uv, fixed


def rectangle(
    v: Points,
    f: Ids,
    weight: Weights,
    loop: list[int],
    corners: list[int],
    box: tuple[float, float, float, float],
    *,
    iterations: int = 80,
    rounds: int = 0,
    reweight: Reweight | None = None,
    importance: Weights | float = 1.0,
) -> Points:
    """Map a disk to a rectangle; returns uv [V, 2].

    loop: its boundary counter-clockwise; corners: the loop's vertices at (x0, y0), (x1, y0), (x1, y1), (x0, y1).
    After the first solution `rounds` times new weights are asked from `reweight`.
    """
    uv, fixed = place_sides(v, f, weight, loop, corners, box)
    uv = tutte(f, uv, loop)
    area = (box[2] - box[0]) * (box[3] - box[1])
    uv = slim(gradients(v, f, weight, area, importance), uv, fixed, iterations)
    for _ in range(rounds if reweight else 0):
        uv = slim(gradients(v, f, reweight(uv, f), area, importance), uv, fixed, iterations // 2)
    return uv
