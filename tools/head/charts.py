"""The UV page of the head: one chart for the skin with mouth and sockets inside it, small charts for the other parts.

Only the half x >= 0 is solved; the other half is its exact mirror image (u -> 1 - u). The head chart fills the page
above a band of 72/512; its sides are the neck ring (bottom) and the cut from the nape over the crown (sides and top).
The band holds the front halves of the eyes in its corners, the tongue in the middle, teeth between.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from regions import NAMES
from slim import Points, rectangle
from surface import boundary_loop, neighbours, renumber, rings

Ids = NDArray[np.int64]
SIZE = 512  # all chart positions below are in these units, v up
BAND, BOX = 72, 68  # height of the bottom band, of the small charts (a gutter of 4)
TEETH_X, TEETH_WIDTH, TEETH_HEIGHT = SIZE / 2 + 44, 140, 32
TONGUE_WIDTH = 40
CUT_END_Z_M = 0.01  # where the cut ends on the crown
CORNER = 0.62  # share of the cut that goes up the side of the square; the rest is its top edge
# Wanted share of the head chart, per cent, and first guess of area per surface area.
SHARE = {
    "face": 34.5, "lips": 4.5, "lids": 3.8, "brows": 2.6, "nose": 4.8, "ears": 4.5, "scalp": 32, "neck": 10,
    "cavity": 1.5, "socket": 0.4,
}  # fmt: skip
WEIGHT = {
    "face": 3, "lips": 6, "lids": 6, "brows": 3, "nose": 3, "ears": 1.2, "scalp": 0.5, "neck": 0.5, "cavity": 0.12,
    "socket": 0.25,
}  # fmt: skip
ROUNDS, EXPONENT, SMOOTHING = 4, 0.8, 6
BACK_IMPORTANCE, HIDDEN_IMPORTANCE = 0.7, 0.25  # distortion goes where nobody looks
EYE_HALF_ANGLE_RAD = 1.66  # triangles beyond the front half have no texels


def smoothstep(x: NDArray[np.float64], a: float, b: float) -> NDArray[np.float64]:
    t = np.clip((x - a) / (b - a), 0, 1)
    return t * t * (3 - 2 * t)


def smooth_log(weight: NDArray[np.float64], faces: Ids, n: int) -> NDArray[np.float64]:
    """Weights averaged over neighbouring triangles in the logarithm, a few times."""
    x = np.log(weight)
    for _ in range(SMOOTHING):
        total, count = np.zeros(n), np.zeros(n)
        for i in range(3):
            np.add.at(total, faces[:, i], x)
            np.add.at(count, faces[:, i], 1)
        x = (total / np.maximum(count, 1))[faces].mean(1)
    return np.exp(x)


def build_charts(v: Points, faces: Ids, mirror: Ids, region: Ids) -> Points:
    """Page corners of all triangles, [F, 3, 2] in [0, 1], NaN for the back of the eyeballs."""
    middle = mirror == np.arange(len(v))
    x = np.where(middle, 0, v[:, 0])
    half = x[faces].min(1) >= 0
    out = np.full((len(faces), 3, 2), np.nan)
    part = {name: half & (region == NAMES.index(name)) for name in NAMES}
    head = half & (region <= NAMES.index("socket"))
    out[head] = head_chart(v, faces[head], middle, region[head])
    out[part["teeth_upper"]] = teeth_chart(v, faces[part["teeth_upper"]], middle, 36)
    out[part["teeth_lower"]] = teeth_chart(v, faces[part["teeth_lower"]], middle, 0)
    out[part["tongue"]] = tongue_chart(v, faces[part["tongue"]])
    out[part["eyes"]] = eye_chart(v, faces[part["eyes"]])
    slot = {tuple(sorted(t)): i for i, t in enumerate(faces.tolist())}
    for i in np.flatnonzero(half):
        twin = mirror[faces[i]].tolist()
        j = slot[tuple(sorted(twin))]
        out[j] = out[i][[twin.index(k) for k in faces[j].tolist()]] * [-1, 1] + [SIZE, 0]
    return out / SIZE


def head_chart(v: Points, faces: Ids, middle: NDArray[np.bool_], region: Ids) -> Points:
    """Skin, mouth cavity and eye sockets of one half. [F', 3, 2] in page units"""
    ids, local = renumber(faces)
    points, on_middle = v[ids], middle[ids]
    loop = boundary_loop(local)
    # The neck ring is the only stretch of the boundary off the mid-line; its ends are the throat and the nape.
    ends = [
        a
        for i, a in enumerate(loop)
        if on_middle[a] and not (on_middle[loop[i - 1]] and on_middle[loop[(i + 1) % len(loop)]])
    ]
    throat, nape = max(ends, key=lambda i: points[i, 2]), min(ends, key=lambda i: points[i, 2])
    start = loop.index(throat)
    loop = loop[start:] + loop[:start]
    over = loop[loop.index(nape) :]  # from the nape up, over the crown, down the face
    tip = min((i for i in over if points[i, 1] > 0.12), key=lambda i: abs(points[i, 2] - CUT_END_Z_M))
    cut = over[: over.index(tip) + 1]
    lengths = np.cumsum([0.0] + [float(np.linalg.norm(points[a] - points[b])) for a, b in zip(cut[:-1], cut[1:])])
    corner = cut[int(np.argmin(np.abs(lengths / lengths[-1] - CORNER)))]
    z = v[faces].mean(1)[:, 2]
    base = np.array([WEIGHT[NAMES[r]] for r in region], float)
    neck = region == NAMES.index("neck")
    base[neck] *= (0.3 + 5 * smoothstep(z, -0.01, 0.05))[neck]  # the throat is seen, the nape is not
    importance = BACK_IMPORTANCE + (1 - BACK_IMPORTANCE) * smoothstep(z, -0.04, 0.05)
    importance[region >= NAMES.index("cavity")] = HIDDEN_IMPORTANCE

    def reweight(uv: Points, f: Ids) -> NDArray[np.float64]:
        e1, e2 = uv[f[:, 1]] - uv[f[:, 0]], uv[f[:, 2]] - uv[f[:, 0]]
        area = 0.5 * (e1[:, 0] * e2[:, 1] - e1[:, 1] * e2[:, 0])
        for name, wanted in SHARE.items():
            own = region == NAMES.index(name)
            ratio = wanted / sum(SHARE.values()) / (area[own].sum() / area.sum())
            base[own] *= np.clip(ratio, 0.3, 3.0) ** EXPONENT
        return smooth_log(base, faces, len(v))

    uv = rectangle(
        points, local, smooth_log(base, faces, len(v)), loop, [throat, nape, corner, tip],
        (SIZE / 2, BAND, SIZE, SIZE), rounds=ROUNDS, reweight=reweight, importance=importance,
    )  # fmt: skip
    return uv[local]


def teeth_chart(v: Points, faces: Ids, middle: NDArray[np.bool_], y: float) -> Points:
    """Half a row of teeth, a grid of 9 x 4 vertices, as a rectangle at height y."""
    ids, local = renumber(faces)
    adjacent = neighbours(local, len(ids))
    column = rings(adjacent, np.flatnonzero(middle[ids]), np.ones(len(ids), bool))
    loop = boundary_loop(local)
    members = set(loop)

    def ends(c: int) -> list[int]:
        return [i for i in loop if column[i] == c and sum(column[j] == c and j in members for j in adjacent[i]) == 1]

    inner, outer = ends(0), ends(int(column.max()))
    cycle = [i for i in loop if i in inner + outer]
    corners = next(c for k in range(4) if {(c := cycle[k:] + cycle[:k])[0], c[3]} == set(inner))
    box = (TEETH_X, y, TEETH_X + TEETH_WIDTH, y + TEETH_HEIGHT)
    return rectangle(v[ids], local, np.ones(len(local)), loop, corners, box)[local]


def tongue_chart(v: Points, faces: Ids) -> Points:
    """Half a tongue, cut under the middle: its upper side faces the mid-line of the page."""
    ids, local = renumber(faces)
    points = v[ids]
    a, b, c = (points[local[:, i]] for i in range(3))
    normal = np.cross(b - a, c - a)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    seen = (normal[:, 1] > -0.2) & (points[local].mean(1)[:, 2] > 0.05)
    loop = boundary_loop(local)
    root, tip = min(loop, key=lambda i: points[i, 2]), max(loop, key=lambda i: points[i, 2])
    start = loop.index(root)
    path = loop[start:] + loop[:start]
    first, second = path[: path.index(tip) + 1], [*path[path.index(tip) :], root]
    if points[first, 1].mean() > points[second, 1].mean():  # back of the tongue first, then its underside
        begin = loop.index(second[int(0.15 * len(second))])
        order = loop[begin:] + loop[:begin]
        side = order[: order.index(root) + 1]
    else:
        stop = first[int(0.85 * len(first))]
        side = path[: path.index(stop) + 1]
    lengths = np.cumsum([0.0] + [float(np.linalg.norm(points[i] - points[j])) for i, j in zip(side[:-1], side[1:])])
    lengths /= lengths[-1]
    corners = [side[0], *(side[int(np.argmin(abs(lengths - s)))] for s in (0.3, 0.7)), side[-1]]
    box = (SIZE / 2, 0.0, SIZE / 2 + TONGUE_WIDTH, float(BOX))
    return rectangle(points, local, np.where(seen, 1.0, 0.25), loop, corners, box)[local]


def eye_chart(v: Points, faces: Ids) -> Points:
    """The front half of an eyeball as a disk in the corner of the page, azimuthal."""
    centre = v[np.unique(faces)].mean(0)
    p = v[faces] - centre
    polar = np.arctan2(np.hypot(p[..., 0], p[..., 1]), p[..., 2])
    azimuth = np.arctan2(p[..., 1], p[..., 0])
    radius = BOX / 2 * np.sin(0.9 * polar) / np.sin(0.9 * np.pi / 2)
    out = np.stack([SIZE - BOX / 2 + radius * np.cos(azimuth), BOX / 2 + radius * np.sin(azimuth)], -1)
    out[(polar > EYE_HALF_ANGLE_RAD).any(1)] = np.nan
    return out
