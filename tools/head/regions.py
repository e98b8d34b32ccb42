"""Region of every triangle, from UV islands, edge rings around mouth and lids, MakeHuman targets and bone weights.

The outline of the face and the line of the brows are constants (measured once with a landmark detector), so that the UV
page does not change when the landmark embedding is rebuilt.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from makehuman import MPFB, MakeHuman
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from surface import FLIP, neighbours, rings

Points = NDArray[np.float64]
Ids = NDArray[np.int64]
NAMES = (
    "face", "lips", "lids", "brows", "nose", "ears", "scalp", "neck", "cavity", "socket", "eyes", "teeth_upper",
    "teeth_lower", "tongue",
)  # fmt: skip
LIP_RINGS, LID_RINGS = 7, 8  # edges outwards from the mouth cavity, from the eye socket
BROW_RADIUS_M = 0.0065
AXIS_Y, AXIS_Z = 0.03, 0.02  # head axis of the cylinder coordinates, metres
# Left half of the face outline from the hairline down to the chin: azimuth, elevation, radians.
OUTLINE_RAD = (
    (0.0, 0.625), (0.219, 0.621), (0.418, 0.607), (0.639, 0.579), (0.848, 0.531), (1.034, 0.444), (1.083, 0.304),
    (1.032, 0.1), (0.884, -0.083), (0.822, -0.29), (0.892, -0.494), (0.887, -0.682), (0.892, -0.83), (0.849, -0.935),
    (0.621, -0.964), (0.46, -0.97), (0.315, -0.979), (0.165, -0.965), (0.0, -0.962),
)  # fmt: skip
# Left brow from the temple inwards, metres.
BROW_M = (
    (0.0535, 0.0517, 0.091), (0.0474, 0.0556, 0.0988), (0.0386, 0.0573, 0.1046), (0.0272, 0.0561, 0.1078),
    (0.0132, 0.053, 0.1086),
)  # fmt: skip


@dataclass(frozen=True)
class Regions:
    of_face: Ids  # [F] index into NAMES
    island: NDArray[np.str_]  # [F] skin, cavity, neckb, socket or a part name
    mouth_ring: Ids  # [V] edges from the mouth cavity, 99 elsewhere
    lid_ring: Ids  # [V] edges from the eye sockets
    adjacent: list[set[int]]


def islands(uv: Points, triangle_uv: Ids, groups: NDArray[np.str_]) -> NDArray[np.str_]:
    """MakeHuman's own UV islands tell skin, mouth cavity, eye sockets and the base of the neck apart. [F]"""
    centre = uv[triangle_uv].mean(1)
    out = groups.astype("U20")
    body = groups == "body"
    out[body] = "skin"
    out[body & (centre[:, 1] < 0.14)] = "cavity"
    out[body & (centre[:, 1] > 0.9)] = "neckb"
    out[body & (centre[:, 0] < 0.2)] = "socket"
    return out


def find_regions(data: MakeHuman, v: Points, faces: Ids, mirror: Ids, neck_weight: NDArray[np.float64]) -> Regions:
    """Regions of the triangles `faces` of the template `v`; neck_weight [V]: share of neck, spine, shoulder bones."""
    n = len(v)
    island = islands(data.mesh.uv, data.mesh.triangle_uv, data.mesh.triangle_group)
    touches: list[set[str]] = [set() for _ in range(n)]
    for triangle, name in zip(faces.tolist(), island.tolist()):
        for i in triangle:
            touches[i].add(name)
    adjacent = neighbours(faces, n)
    skin = np.array(["skin" in t for t in touches])
    body = np.array([bool(t & {"skin", "neckb"}) for t in touches])
    mouth = rings(adjacent, [i for i in range(n) if {"skin", "cavity"} <= touches[i]], skin)
    lids = rings(adjacent, [i for i in range(n) if {"skin", "socket"} <= touches[i]], skin)
    marks = vertex_marks(data, v, mirror, body, skin, mouth, lids, neck_weight)
    return Regions(face_regions(v, faces, island, marks, mouth, lids), island, mouth, lids, adjacent)


def vertex_marks(
    data: MakeHuman, v: Points, mirror: Ids, body: NDArray[np.bool_], skin: NDArray[np.bool_], mouth: Ids, lids: Ids,
    neck_weight: NDArray[np.float64],
) -> dict[str, NDArray[np.bool_]]:  # fmt: skip
    """Candidate vertices of ears, nose, neck, face and brows, mirror symmetric."""

    def moved(name: str, fraction: float) -> NDArray[np.bool_]:
        size = np.linalg.norm(data.target(f"{MPFB}targets/{name}.target.gz")[data.keep], axis=1)
        size = np.maximum(size, size[mirror])
        return size > fraction * size.max()

    polygon = np.array(OUTLINE_RAD)
    polygon = np.concatenate([polygon, polygon[-2:0:-1] * [-1, 1]])
    face = inside_polygon(polygon, cylinder(v)) & (v[:, 2] > AXIS_Z) & body
    line = np.array(BROW_M)
    steps = np.linspace(0, len(line) - 1, 60)
    line = np.stack([np.interp(steps, range(len(line)), line[:, k]) for k in range(3)], 1)
    brows = np.zeros(len(v), bool)
    for side in (line, line * FLIP):
        brows |= (cKDTree(side).query(v)[0] < BROW_RADIUS_M) & body & (lids > LID_RINGS)
    marks = {
        "ears": moved("ears/l-ear-wing-incr", 0.01) & (np.abs(v[:, 0]) > 0.066),
        "nose": (moved("nose/nose-scale-horiz-decr", 0.25) | moved("nose/nose-scale-depth-incr", 0.25))
        & skin
        & (mouth > LIP_RINGS + 1),
        "neck": (neck_weight > 0.5) & body,
        "face": face,
        "brows": brows,
    }
    return {name: mark | mark[mirror] for name, mark in marks.items()}


def face_regions(
    v: Points, faces: Ids, island: NDArray[np.str_], marks: dict[str, NDArray[np.bool_]], mouth: Ids, lids: Ids
) -> Ids:
    """One region per triangle; later rules win."""
    out = np.full(len(faces), NAMES.index("scalp"))
    centre = v[faces].mean(1)
    skin = np.isin(island, ["skin", "neckb"])
    _, y, z = centre.T

    def put(mask: NDArray[np.bool_], name: str) -> None:
        out[mask] = NAMES.index(name)

    def most(name: str) -> NDArray[np.bool_]:
        return marks[name][faces].sum(1) >= 2

    put(skin & (z > 0.012) & (y < 0.045), "face")  # cheek and jaw in front of the ear
    put(skin & most("neck"), "neck")
    put(skin & most("face"), "face")
    put(skin & (y < -0.052 - 0.32 * (z - 0.03)) & (z < 0.1), "neck")  # under the jaw
    put(skin & (out == NAMES.index("scalp")) & (y < -0.005) & (z > -0.05), "neck")
    for name in ("ears", "nose", "brows"):
        put(skin & most(name), name)
    put(island == "neckb", "neck")
    put(skin & (lids[faces].max(1) <= LID_RINGS), "lids")
    put(skin & (mouth[faces].max(1) <= LIP_RINGS), "lips")
    for part, name in (
        ("cavity", "cavity"), ("socket", "socket"), ("helper-l-eye", "eyes"), ("helper-r-eye", "eyes"),
        ("helper-upper-teeth", "teeth_upper"), ("helper-lower-teeth", "teeth_lower"), ("helper-tongue", "tongue"),
    ):  # fmt: skip
        put(island == part, name)
    return out


def cylinder(points: Points) -> Points:
    """Azimuth and elevation around the head axis, radians. [N, 3] -> [N, 2]"""
    dx, dz = points[:, 0], points[:, 2] - AXIS_Z
    return np.stack([np.arctan2(dx, dz), np.arctan2(points[:, 1] - AXIS_Y, np.hypot(dx, dz))], 1)


def inside_polygon(polygon: Points, points: Points) -> NDArray[np.bool_]:
    """Even-odd rule. polygon [K, 2], points [N, 2] -> [N]"""
    a, b = polygon, np.roll(polygon, -1, 0)
    x, y = points[:, :1], points[:, 1:]
    straddles = (a[:, 1] > y) != (b[:, 1] > y)  # [N, K]
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = a[:, 0] + (y - a[:, 1]) * (b[:, 0] - a[:, 0]) / (b[:, 1] - a[:, 1])
    return (straddles & (x < crossing)).sum(1) % 2 == 1
