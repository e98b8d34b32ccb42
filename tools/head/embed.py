"""Where the 478 landmarks of the bundled face mesh sit on the head: render heads, detect, project back, average.

    PYTHONPATH=. python tools/head/embed.py [--asset FILE] [--out tools/head/landmarks.json] [--count 100]

Many random identities, views, expressions, lights and skins are rendered and the landmarks found in them. Each landmark
goes to the one place on the surface (upper-lip points on the upper lip, and so on) that projects nearest to it over all
views and their mirror images; inner-lip points go to the line along which the lips touch. The irises are set by
geometry. Deterministic for a given asset and networks.
"""

from __future__ import annotations

import argparse
import dataclasses
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
FIRST = 400  # triangles around the present place that are tried: two to four centimetres
GRID, AROUND = 5, 24  # places per edge of a triangle, triangles around the best of them
RING_ORDER = ((1, 0), (0, 1), (-1, 0), (0, -1))  # of the four points after each iris centre: left, top, right, bottom
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


@dataclasses.dataclass(frozen=True)
class Views:
    """All pictures at once, in single precision: what candidates are compared with."""

    camera: NDArray[np.float32]  # [N, V, 3] vertices in camera axes
    view: zbuffer.View  # size, lens and distance, the same for all
    points_px: NDArray[np.float32]  # [N, 468, 2]
    iod_px: NDArray[np.float32]  # [N]

    def errors(self, corners: Ids, weights: Points, landmark: int) -> NDArray[np.float64]:
        """Mean distance between candidate places (vertex ids [C, 3], weights [C, 3]) and a landmark over the views. [C]

        A plain distance, not its square: views in which the landmark slides along the outline do not pull.
        """
        place = (self.camera[:, corners] * weights[None, :, :, None].astype(np.float32)).sum(2)  # [N, C, 3]
        w, h = self.view.size
        scale = self.view.focal_px / (self.view.distance_m - place[..., 2])
        x = w / 2 + scale * place[..., 0] - self.points_px[:, landmark, None, 0]
        y = h / 2 - scale * place[..., 1] - self.points_px[:, landmark, None, 1]
        return (np.hypot(x, y) / self.iod_px[:, None]).mean(0)


def stack_views(pictures: list[Picture]) -> Views:
    return Views(
        np.stack([p.view.project(p.vertices)[1] for p in pictures]).astype(np.float32),
        pictures[0].view,
        np.stack([p.points_px[:N_MESH] for p in pictures]).astype(np.float32),
        np.array([p.iod_px for p in pictures], np.float32),
    )


def best_place(views: Views, v: Points, faces: Ids, rows: Ids, landmark: int, start: Points) -> Points:
    """The place on the triangles `rows` that projects nearest to a landmark over all views, on the template. [3]

    First the best centre among the triangles near `start`, then a fine grid on the triangles around it.
    """
    centres = v[faces[rows]].mean(1)
    near = rows[np.argsort(np.linalg.norm(centres - start, axis=1))[:FIRST]]
    best = near[views.errors(faces[near], np.full((len(near), 3), 1 / 3), landmark).argmin()]
    near = rows[np.argsort(np.linalg.norm(centres - v[faces[best]].mean(0), axis=1))[:AROUND]]
    grid = np.array([(i, j, GRID - i - j) for i in range(GRID + 1) for j in range(GRID + 1 - i)]) / GRID
    corners, weights = np.repeat(faces[near], len(grid), 0), np.tile(grid, (len(near), 1))
    k = int(views.errors(corners, weights, landmark).argmin())
    return weights[k] @ v[corners[k]]


def mirror_landmarks(points: Points) -> Ids:
    """The twin of each landmark, by matching their places [468, 3] with the mirrored ones."""
    flipped = points * [-1, 1, 1]
    cost = np.linalg.norm(points[:, None] - flipped[None], axis=-1)
    return linear_sum_assignment(cost)[1]


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


def mirrored(picture: Picture, mirror: Ids, twin: Ids) -> Picture:
    """The picture as a looking glass shows it: mirrored vertices, view and landmarks (468 of them)."""
    view = dataclasses.replace(picture.view, yaw_deg=-picture.view.yaw_deg)
    points = picture.points_px[:N_MESH][twin] * [-1, 1] + [SIZE_PX, 0]
    return Picture(view, picture.vertices[mirror] * [-1.0, 1, 1], points, picture.iod_px, picture.score)


def merge(head: HeadModel, pictures: list[Picture]) -> tuple[Ids, Points]:
    """Triangles [478] and barycentric coordinates [478, 3] of all landmarks, mirror symmetric."""
    assert head.mirror is not None
    v, faces = head.template_m.double().numpy(), head.faces.numpy()
    allowed, kind = allowed_faces(head), np.array(kinds())
    rough = head.landmarks.points(head.template_m[None])[0, :N_MESH].double().numpy()
    twin = mirror_landmarks(rough)
    if not (twin[twin] == np.arange(N_MESH)).all():
        raise ValueError("the landmarks could not be paired left to right")
    views = stack_views(pictures + [mirrored(p, head.mirror.numpy(), twin) for p in pictures])
    places = np.zeros((N_MESH, 3))
    for i in range(N_MESH):
        places[i] = best_place(views, v, faces, np.flatnonzero(allowed[kind[i]]), i, rough[i])
    places = (places + places[twin] * [-1.0, 1, 1]) / 2
    triangle, barycentric = np.zeros(478, np.int64), np.zeros((478, 3))
    for name, mask in allowed.items():
        own, rows = np.flatnonzero(kind == name), np.flatnonzero(mask)
        chosen, b = closest_on_surface(places[own], v, faces[rows])
        triangle[own], barycentric[own] = rows[chosen], b
    for name, column, ids in (("upper_lip", 0, UPPER_INNER), ("lower_lip", 1, LOWER_INNER)):
        rows = np.flatnonzero(allowed[name])
        chosen, b = closest_on_surface(contact_line(head, column, places[list(ids), 0]), v, faces[rows])
        triangle[list(ids)], barycentric[list(ids)] = rows[chosen], b
    triangle[N_MESH:], barycentric[N_MESH:] = iris_places(head)
    return triangle, barycentric


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
    parser.add_argument("--count", type=int, default=100)
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
    triangle, barycentric = merge(head, pictures)
    report("after", score(head, triangle, barycentric, held_out))
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
