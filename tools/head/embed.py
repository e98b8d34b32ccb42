"""Where the 478 landmarks of the bundled face mesh sit on the head: render heads, detect, project back, average.

    PYTHONPATH=. python tools/head/embed.py [--asset FILE] [--out tools/head/landmarks.json] [--count 240]

Many random identities, views, expressions, lights and skins are rendered; each landmark that was found is projected
onto the triangle it lies on, allowed regions only (upper-lip points onto the upper lip, and so on), and carried to the
template through its barycentric coordinates. The robust mean over all views of a point and of its mirror twin goes to
the nearest place on the surface. The irises are set by geometry. Deterministic for a given asset and networks.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import zbuffer
from build import LANDMARKS
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from skin import IRIS_RADIUS_M
from surface import closest_on_surface
from views import SIZE_PX, Picture, save_pictures, take_pictures

from ggtalker_core.head.asset import DEFAULT_ASSET, read_default_head
from ggtalker_core.head.model import HeadModel
from ggtalker_core.tracking.networks.face_mesh import N_MESH
from ggtalker_core.tracking.topology import LID_LEFT, LID_RIGHT, LIP_INNER, LIP_OUTER

Points = NDArray[np.float64]
Ids = NDArray[np.int64]
SEARCH_PX = 5  # how far from a landmark the surface it means may be seen
RING_ORDER = ((1, 0), (0, 1), (-1, 0), (0, -1))  # of the four points after each iris centre: left, top, right, bottom
FACING = 0.35  # cosine below which a view says nothing of a point
UPPER_LIP = (185, 40, 39, 37, 0, 267, 269, 270, 409, 191, 80, 81, 82, 13, 312, 311, 310, 415,
             184, 74, 73, 72, 11, 302, 303, 304, 408, 183, 42, 41, 38, 12, 268, 271, 272, 407)  # fmt: skip
LOWER_LIP = (146, 91, 181, 84, 17, 314, 405, 321, 375, 95, 88, 178, 87, 14, 317, 402, 318, 324,
             77, 90, 180, 85, 16, 315, 404, 320, 307, 96, 89, 179, 86, 15, 316, 403, 319, 325)  # fmt: skip
UPPER_INNER = (191, 80, 81, 82, 13, 312, 311, 310, 415)
LOWER_INNER = (95, 88, 178, 87, 14, 317, 402, 318, 324)
UPPER_LIDS = (246, 161, 160, 159, 158, 157, 173, 466, 388, 387, 386, 385, 384, 398)
LOWER_LIDS = (7, 163, 144, 145, 153, 154, 155, 249, 390, 373, 374, 380, 381, 382)


def allowed_faces(head: HeadModel) -> dict[str, NDArray[np.bool_]]:
    """Triangles onto which landmarks may fall, by kind."""
    v, faces = head.template_m.double().numpy(), head.faces.numpy()
    region = head.regions
    outer = region.faces("face", "lips", "lids", "brows", "nose", "ears", "scalp", "neck").numpy()
    opened = head.rest()
    opened["jaw_rad"] = torch.tensor([[0.2, 0, 0]])
    moved = (head.vertices(**opened)[0] - head.template_m).norm(dim=1).numpy()[faces].mean(1)
    lips = region.faces("lips").numpy()
    lower = lips & (moved > 0.5 * moved[lips].max())
    lids = region.faces("lids").numpy()
    corners = v[head.lid_corners.numpy()].mean((0, 1))
    height = v[faces].mean(1)[:, 1] - corners[1]
    return {
        "outer": outer,
        "upper_lip": lips & ~lower,
        "lower_lip": lower,
        "upper_lid": lids & (height > -0.001),
        "lower_lid": lids & (height < 0.001),
    }


def kinds() -> list[str]:
    """The kind of each of the 468 landmarks."""
    out = ["outer"] * N_MESH
    for name, ids in (
        ("upper_lip", UPPER_LIP), ("lower_lip", LOWER_LIP), ("upper_lid", UPPER_LIDS), ("lower_lid", LOWER_LIDS),
    ):  # fmt: skip
        for i in ids:
            out[i] = name
    return out


def project_back(head: HeadModel, picture: Picture, allowed: dict[str, NDArray[np.bool_]]) -> tuple[Points, Points]:
    """Places on the template [468, 3] (NaN where not seen) and their weights [468]."""
    faces, template = head.faces.numpy(), head.template_m.double().numpy()
    hits = zbuffer.trace(picture.view, picture.vertices, faces)
    camera = picture.view.project(picture.vertices)[1]
    eye = np.array([0, 0, picture.view.distance_m])
    places, weights = np.full((N_MESH, 3), np.nan), np.zeros(N_MESH)
    for i, kind in enumerate(kinds()):
        x, y = picture.points_px[i]
        x0, y0 = int(np.floor(x)) - SEARCH_PX, int(np.floor(y)) - SEARCH_PX
        if x0 < 0 or y0 < 0 or x0 + 2 * SEARCH_PX >= SIZE_PX or y0 + 2 * SEARCH_PX >= SIZE_PX:
            continue
        window = hits.triangle[y0 : y0 + 2 * SEARCH_PX + 1, x0 : x0 + 2 * SEARCH_PX + 1]
        good = (window >= 0) & allowed[kind][np.maximum(window, 0)]
        if not good.any():
            continue
        rows, cols = np.nonzero(good)
        distance = np.hypot(cols + x0 + 0.5 - x, rows + y0 + 0.5 - y)
        k = int(distance.argmin())
        if distance[k] > SEARCH_PX:
            continue
        row, col = rows[k] + y0, cols[k] + x0
        triangle = faces[hits.triangle[row, col]]
        a, b, c = camera[triangle]
        normal = np.cross(b - a, c - a)
        normal /= np.linalg.norm(normal) + 1e-15
        ray = eye - (a + b + c) / 3
        facing = float(normal @ ray / np.linalg.norm(ray))
        if facing < FACING:
            continue
        places[i] = hits.barycentric[row, col] @ template[triangle]
        # A point that had to be moved onto its surface counts less.
        weights[i] = facing**2 * np.exp(-((max(distance[k] - 0.7, 0) / 2) ** 2))
    return places, weights


def mirror_landmarks(points: Points) -> Ids:
    """The twin of each landmark, by matching their places [468, 3] with the mirrored ones."""
    flipped = points * [-1, 1, 1]
    cost = np.linalg.norm(points[:, None] - flipped[None], axis=-1)
    return linear_sum_assignment(cost)[1]


def robust_mean(places: Points, weights: Points) -> tuple[Points, Points]:
    """Weighted geometric median over views: places [N, L, 3], weights [N, L] -> (mean [L, 3], spread [L] metres)."""
    known = np.isfinite(places[..., 0]) & (weights > 0)
    p, w = np.where(known[..., None], places, 0.0), np.where(known, weights, 0.0)
    mean = (p * w[..., None]).sum(0) / np.maximum(w.sum(0), 1e-9)[:, None]
    for _ in range(50):
        distance = np.linalg.norm(p - mean, axis=-1)
        u = w / np.maximum(distance, 2e-4)
        mean = (p * u[..., None]).sum(0) / np.maximum(u.sum(0), 1e-9)[:, None]
    distance = np.where(known, np.linalg.norm(p - mean, axis=-1), np.nan)
    return mean, np.nanmedian(distance, 0)


def contact_line(head: HeadModel, column: int, x: Points) -> Points:
    """Places on the line along which the upper (0) or the lower (1) lip touches the other, at the given x. [N, 3]

    The edge that the network sees lies outside that line when the mouth is nearly shut and on it when the mouth is
    open; only points on the line itself meet when the mouth closes.
    """
    right, left = head.lip_corners.tolist()
    line = head.template_m.double().numpy()[[right, *head.lip_pairs[:, column].tolist(), left]]
    order = np.argsort(line[:, 0])
    return np.stack([np.interp(x, line[order, 0], line[order, k]) for k in range(3)], 1)


def iris_places(head: HeadModel) -> tuple[Ids, Points]:
    """Centre and ring (person's right, top, left, bottom) of both irises on the eyeballs: triangles [10], weights."""
    v, faces = head.template_m.double().numpy(), head.faces.numpy()
    triangles, weights = [], []
    for side in ("right", "left"):
        rows = np.flatnonzero(head.regions.faces(f"eyes_{side}").numpy())
        ids = np.unique(faces[rows])
        centre = v[ids].mean(0)
        radius = float(np.linalg.norm(v[ids] - centre, axis=1).mean())
        r = IRIS_RADIUS_M
        ring = [(0, 0), *[(r * x, r * y) for x, y in RING_ORDER]]
        targets = np.array([centre + [x, y, np.sqrt(radius**2 - x * x - y * y)] for x, y in ring])
        chosen, b = closest_on_surface(targets, v, faces[rows])
        triangles.append(rows[chosen])
        weights.append(b)
    return np.concatenate(triangles), np.concatenate(weights)


def merge(head: HeadModel, pictures: list[Picture]) -> tuple[Ids, Points, Points]:
    """Triangles [478], barycentric [478, 3], spread over the views [468] metres."""
    v, faces = head.template_m.double().numpy(), head.faces.numpy()
    allowed = allowed_faces(head)
    sets = [project_back(head, p, allowed) for p in pictures]
    places, weights = np.stack([s[0] for s in sets]), np.stack([s[1] for s in sets])
    first, _ = robust_mean(places, weights)
    twin = mirror_landmarks(first)
    if not (twin[twin] == np.arange(N_MESH)).all():
        raise ValueError("the landmarks could not be paired left to right")
    flip = [-1.0, 1.0, 1.0]
    mean, spread = robust_mean(
        np.concatenate([places, places[:, twin] * flip]), np.concatenate([weights, weights[:, twin]])
    )
    mean = (mean + mean[twin] * flip) / 2
    triangle, barycentric = np.zeros(478, np.int64), np.zeros((478, 3))
    kind = np.array(kinds())
    for name, mask in allowed.items():
        own, rows = np.flatnonzero(kind == name), np.flatnonzero(mask)
        chosen, b = closest_on_surface(mean[own], v, faces[rows])
        triangle[own], barycentric[own] = rows[chosen], b
    for name, column, ids in (("upper_lip", 0, UPPER_INNER), ("lower_lip", 1, LOWER_INNER)):
        rows = np.flatnonzero(allowed[name])
        chosen, b = closest_on_surface(contact_line(head, column, mean[list(ids), 0]), v, faces[rows])
        triangle[list(ids)], barycentric[list(ids)] = rows[chosen], b
    triangle[N_MESH:], barycentric[N_MESH:] = iris_places(head)
    return triangle, barycentric, spread


def score(head: HeadModel, triangle: Ids, barycentric: Points, pictures: list[Picture]) -> NDArray[np.float64]:
    """Distance between projected and detected landmarks over the distance of the outer eye corners. [N, 478]"""
    faces = head.faces.numpy()
    out = []
    for p in pictures:
        place = (p.vertices[faces[triangle]] * barycentric[..., None]).sum(1)
        out.append(np.linalg.norm(p.view.project(place)[0] - p.points_px, axis=1) / p.iod_px)
    return np.stack(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--asset", type=Path, default=DEFAULT_ASSET)
    parser.add_argument("--out", type=Path, default=LANDMARKS)
    parser.add_argument("--count", type=int, default=240)
    parser.add_argument("--pictures", type=Path, help="folder for the first twelve renders, to be looked at")
    args = parser.parse_args()
    torch.set_num_threads(1)
    head = read_default_head(args.asset)
    taken = take_pictures(head, args.count, seed=1)
    pictures = [p for p, _ in taken if p.score > 0.5]
    print(f"{len(pictures)} of {len(taken)} renders with a face")
    if args.pictures:
        save_pictures(taken[:12], args.pictures)
    held_out = [p for p, _ in take_pictures(head, max(args.count // 4, 8), seed=2) if p.score > 0.5]
    now = head.landmarks
    slot = {tuple(t): i for i, t in enumerate(head.faces.tolist())}
    old = np.array([slot[tuple(t)] for t in now.triangles.tolist()])
    report("before", score(head, old, now.barycentric.double().numpy(), held_out))
    triangle, barycentric, spread = merge(head, pictures)
    report("after", score(head, triangle, barycentric, held_out))
    print(
        f"spread over views mm: median {np.nanmedian(spread) * 1e3:.2f}, p90 {np.nanpercentile(spread, 90) * 1e3:.2f}"
    )
    text = json.dumps({"triangle": triangle.tolist(), "barycentric": np.round(barycentric, 5).tolist()})
    args.out.write_text(text + "\n")


def report(name: str, error: NDArray[np.float64]) -> None:
    lips, lids = [*LIP_INNER, *LIP_OUTER], [*LID_LEFT, *LID_RIGHT]
    parts = {"all": list(range(N_MESH)), "lips": lips, "lids": lids, "iris": [468, 473]}
    text = ", ".join(f"{k} {np.median(error[:, ids]) * 100:.2f}" for k, ids in parts.items())
    p90 = np.percentile(error, 90) * 100
    print(f"{name}: unseen heads, median error in % of the outer eye distance: {text}; all p90 {p90:.2f}")


if __name__ == "__main__":
    main()
