"""The made-up person: everything that does not change from frame to frame, and the picture of one pose."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import hair
import numpy as np
import paint
import raster
import shade
import torch
from geometry import FineMesh, subdivide, torso, unit, vertex_normals
from noise import octaves
from numpy.typing import NDArray

from ggtalker_core.head.model import HeadModel

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Lens:
    """A camera on the z axis, drawn `supersampling` times finer than the picture."""

    size: int = 512
    supersampling: int = 2
    distance_m: float = 1.30
    view_m: float = 0.37  # height of the view at the head
    centre_y_m: float = 0.022

    @property
    def fine(self) -> int:
        """Pixels of the fine picture."""
        return self.size * self.supersampling

    @property
    def focal(self) -> float:
        """Focal length in fine pixels."""
        return self.fine * self.distance_m / self.view_m

    def project(self, points: Array) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Head axes [..., 3] -> fine pixels [..., 2], depth [...]."""
        depth = self.distance_m - points[..., 2]
        x = self.fine / 2 + self.focal * points[..., 0] / depth
        y = self.fine / 2 - self.focal * (points[..., 1] - self.centre_y_m) / depth
        return np.stack([x, y], -1).astype(np.float32), depth.astype(np.float32)


def _rigid(rest: Array, posed: Array) -> tuple[Array, Array]:
    """Rotation and shift that carry `rest` [N, 3] onto `posed` [N, 3] best (Kabsch)."""
    a, b = rest.mean(0), posed.mean(0)
    u, _, vt = np.linalg.svd((rest - a).T @ (posed - b))
    turn = (u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt).T
    return turn, b - turn @ a


class Person:
    """Meshes, colours and hair of one identity."""

    def __init__(self, head: HeadModel, shape: torch.Tensor, seed: int = 7, hairs: int = 42000):
        """`shape` [1, S]: the identity."""
        self.head, self.shape = head, shape
        self.ring = self._edge_of_neck()
        self.faces, self.region = self._lengthened()
        self.rest = self._skinned(*self._rest_pose())
        self.rest_normals = vertex_normals(self.rest, self.faces)
        self.body, self.body_faces = torso()
        self.fine: FineMesh = subdivide(self.rest, self.faces, 0.0009)
        self.fine_body: FineMesh = subdivide(self.body, self.body_faces, 0.003)
        self._paint()
        self._grow(seed, hairs)

    def _edge_of_neck(self) -> NDArray[np.int64]:
        """Vertices of the neck's lower edge, in order around it."""
        faces = self.head.faces.numpy()
        rest = self.head.template_m.numpy()
        edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
        _, inverse, count = np.unique(np.sort(edges, 1), axis=0, return_inverse=True, return_counts=True)
        border = edges[count[inverse.ravel()] == 1]
        border = border[(rest[border][..., 1] < -0.05).all(1)]
        after = {int(a): int(b) for a, b in border}
        ring = [int(border[0, 0])]
        while after[ring[-1]] != ring[0]:
            ring.append(after[ring[-1]])
        return np.array(ring)

    def _lengthened(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The head's faces and regions [F'], with a tube that goes on below the neck (its vertices come last)."""
        v, r = self.head.n_vertices, len(self.ring)
        i, j = np.arange(r), (np.arange(r) + 1) % r
        top_i, top_j = self.ring[i], self.ring[j]
        tube = np.concatenate([np.stack([top_j, top_i, v + i], 1), np.stack([top_j, v + i, v + j], 1)])
        regions = self.head.regions
        neck = np.full(len(tube), regions.names.index("neck"))
        return np.concatenate([self.head.faces.numpy(), tube]), np.concatenate([regions.of_face.numpy(), neck])

    def _rest_pose(self) -> tuple[torch.Tensor, ...]:
        r = self.head.rest()
        return r["expression"], r["jaw_rad"], r["neck_rad"], r["eyes_rad"]

    def _skinned(self, expression: torch.Tensor, jaw: torch.Tensor, neck: torch.Tensor, eyes: torch.Tensor) -> Array:
        posed = self.head.vertices(self.shape, expression, jaw, neck, eyes)[0].double().numpy()
        below = self.head.vertices(self.shape, *self._rest_pose())[0].double().numpy()[self.ring]
        below = below * np.array([1.02, 1.0, 1.02]) + np.array([0.0, -0.035, -0.004])  # the body does not turn along
        return np.concatenate([posed, below])

    def _mask(self, *names: str, soft: int = 2) -> Array:
        """Soft per-vertex mask of regions."""
        inside = np.concatenate([self._vertices(*names), np.zeros(len(self.ring), bool)])
        return paint.soften(inside.astype(float), self.faces, soft)

    def _vertices(self, *names: str) -> NDArray[np.bool_]:
        """Vertices of regions, [V] of the head alone."""
        return self.head.regions.vertices(*names).numpy()

    def _faces_of(self, *names: str) -> NDArray[np.bool_]:
        """Faces of regions, [F'] with the tube."""
        tube = np.full(2 * len(self.ring), "neck" in names)
        return np.concatenate([self.head.regions.faces(*names).numpy(), tube])

    def _paint(self) -> None:
        """Colours, gloss and materials of all fine vertices."""
        fine = self.fine
        p, _ = fine.points(self.rest, self.rest_normals)
        lips = np.clip(1.7 * paint.spread(fine, self._mask("lips", soft=1)) - 0.55, 0, 1)
        scalp = paint.ramp(
            paint.spread(fine, self._mask("scalp", soft=3)) + 0.05 * octaves(p, 0.006, 2, 90), 0.25, 0.75
        )
        self.scalp_faces = paint.ramp(self._mask("scalp", soft=3)[self.faces].mean(1), 0.25, 0.7)
        color = paint.skin(p, lips, scalp)
        translucent, gloss, exponent = np.full(len(p), 1.0), np.full(len(p), 0.85), np.full(len(p), 18.0)
        gloss *= 1 + 0.35 * octaves(p, 0.004, 3, 80)
        gloss[scalp > 0.5] = 0.15
        gloss += 0.7 * lips
        exponent += 20 * lips
        self.inside = np.zeros(len(p))  # how deep in the mouth or behind the lids: no light of its own

        def of(*names: str) -> NDArray[np.bool_]:
            return self._faces_of(*names)[fine.origin]

        centers = self._eye_centers(self.rest)
        for k, side in enumerate(("eyes_left", "eyes_right")):
            own = of(side)
            color[own] = paint.eye(p[own], centers[k], 100 + k)
            translucent[own], gloss[own], exponent[own] = 0.25, 1.6, 350.0
        for name in ("teeth_upper", "teeth_lower"):
            own = of(name)
            color[own] = paint.teeth(p[own])
            translucent[own], gloss[own], exponent[own] = 0.5, 1.1, 90.0
        for names, value in ((("cavity",), paint.MOUTH), (("tongue",), paint.TONGUE), (("socket",), paint.FLUSH * 0.8)):
            own = of(*names)
            color[own] = value * (1 + 0.06 * octaves(p[own], 0.004, 3, 95))[:, None]
            gloss[own], exponent[own] = 0.9, 60.0
        mouth = of("cavity", "teeth_upper", "teeth_lower", "tongue")
        self.mouth_depth = np.where(mouth, np.clip((0.108 - p[:, 2]) / 0.030, 0, 1), 0.0)
        bump = np.stack([octaves(p, 0.0016, 2, 300 + i) for i in range(3)], 1)
        self.bump = bump * (0.035 * translucent * (1 - scalp))[:, None] * (~mouth)[:, None]
        body, _ = self.fine_body.points(self.body, vertex_normals(self.body, self.body_faces))
        n = len(body)
        self.body_bump = 0.05 * np.stack([octaves(body, 0.0035, 2, 330 + i) for i in range(3)], 1)
        self.colors = np.concatenate([color, paint.cloth(body)])
        self.gloss = np.concatenate([gloss, np.full(n, 0.12)])
        self.exponent = np.concatenate([exponent, np.full(n, 6.0)])
        self.translucent = np.concatenate([translucent, np.zeros(n)])
        self.depth_in_mouth = np.concatenate([self.mouth_depth, np.zeros(n)])
        self.all_faces = np.concatenate([fine.faces, self.fine_body.faces + np.int32(len(p))])

    def _eye_centers(self, posed: Array) -> Array:
        """Centres of the eyeballs [2, 3] (left, right) by a sphere through their vertices."""
        out = list[Array]()
        for side in ("eyes_left", "eyes_right"):
            v = posed[: self.head.n_vertices][self._vertices(side)]
            a = np.concatenate([2 * v, np.ones((len(v), 1))], 1)
            out.append(np.linalg.lstsq(a, (v * v).sum(1), rcond=None)[0][:3])
        return np.stack(out)

    def _grow(self, seed: int, hairs: int) -> None:
        self.scalp = hair.scalp_hair(self.rest, self.rest_normals, self.faces, self.scalp_faces, hairs, seed)
        middle = self.rest[self.faces].mean(1)
        skin = self._faces_of("face", "brows", "nose", "lids")
        density = hair.brow_density(middle) * skin
        self.brows = self._thin(hair.brow_hair(self.rest, self.rest_normals, self.faces, density, 2600, seed + 1))
        self.scalp_rest = np.flatnonzero(self._vertices("scalp"))

    @staticmethod
    def _thin(strands: hair.Strands) -> hair.Strands:
        """Keep the hairs whose very root lies in the brow."""
        rng = np.random.default_rng(5)
        keep = rng.random(len(strands.points)) < hair.brow_density(strands.points[:, 0]) ** 0.7
        return hair.Strands(strands.points[keep], strands.triangle[keep], strands.weights[keep], strands.tone[keep])

    def picture(
        self, expression: torch.Tensor, jaw: torch.Tensor, neck: torch.Tensor, eyes: torch.Tensor,
        sway_m: Array, lens: Lens, background: NDArray[np.float32],
    ) -> NDArray[np.float32]:  # fmt: skip
        """One frame [size, size, 3] in sRGB levels. Poses [1, ...]; sway_m [3] moves the whole person."""
        posed = self._skinned(expression, jaw, neck, eyes) + sway_m
        body = self.body + sway_m
        normals = vertex_normals(posed, self.faces)
        p, n = self.fine.points(posed, normals)
        turn, shift = _rigid(self.rest[self.scalp_rest], posed[self.scalp_rest])
        n = unit(n + self.bump @ turn.T)
        pb, nb = self.fine_body.points(body, vertex_normals(body, self.body_faces))
        p, n = np.concatenate([p, pb]), np.concatenate([n, unit(nb + self.body_bump)])
        pixels, depth = lens.project(p)
        size = lens.fine
        face_of, w, nearest = raster.triangles(pixels, depth, self.all_faces, size, size, False)
        covered = face_of >= 0
        inflated = posed + 0.009 * normals * self._mask("scalp", soft=1)[:, None]
        shadows = shade.ShadowMap(
            np.concatenate([inflated, body]), np.concatenate([self.faces, self.body_faces + len(posed)])
        )
        open_sky = shade.occlusion(nearest, covered, lens.focal / lens.distance_m)
        corners = self.all_faces[face_of[covered]]
        wb, wc = w[covered].astype(np.float64).T
        share = np.stack([1 - wb - wc, wb, wc], 1)[..., None]

        def at(values: Array) -> Array:
            return (share * values[corners].reshape(len(corners), 3, -1)).sum(1)

        point, normal = at(p), unit(at(n))
        deep = at(self.depth_in_mouth)[:, 0]
        visible = shadows.light(point, normal) * (1 - 0.8 * deep)
        radiance = shade.surface(
            at(self.colors), normal, visible, open_sky[covered] * (1 - 0.85 * deep),
            at(self.gloss)[:, 0] * (1 - 0.7 * deep), at(self.exponent)[:, 0], at(self.translucent)[:, 0],
        )  # fmt: skip
        image = cv2.resize(background, (size, size), interpolation=cv2.INTER_LINEAR)
        image[covered] = radiance
        self._draw_hair(image, nearest, posed, turn, shift, lens, shadows)
        small = cv2.resize(image, (lens.size, lens.size), interpolation=cv2.INTER_AREA)
        return shade.to_bytes(small)

    def _draw_hair(
        self, image: NDArray[np.float32], nearest: NDArray[np.float32], posed: Array, turn: Array, shift: Array,
        lens: Lens, shadows: shade.ShadowMap,
    ) -> None:  # fmt: skip
        for strands, base, strength, bias in (
            (self.scalp, paint.HAIR, 0.9, 0.0015),
            (self.brows, paint.HAIR * 0.9, 0.55, 0.002),
        ):
            moved = strands.points @ turn.T + shift
            root = (strands.weights[..., None] * posed[self.faces[strands.triangle]]).sum(1)
            if strands is self.brows:
                moved += (root - moved[:, 0])[:, None]  # brows ride on the skin
            along = np.linspace(0, 1, moved.shape[1])
            flat = moved.reshape(-1, 3)
            visible = shadows.light(flat, np.zeros_like(flat), 0.012, 5).reshape(moved.shape[:2]) * 0.6 + 0.4
            color = shade.hair_color(strands.tangents() @ turn.T, base, strands.tone, along, visible)
            pixels, depth = lens.project(moved)
            order = np.argsort(-depth[:, -1])  # far hairs first
            opacity = np.broadcast_to((strength * (1 - 0.75 * along**3))[None], depth.shape)
            f32 = np.float32
            raster.hairs(
                image, nearest, pixels[order], depth[order], color[order].astype(f32), opacity[order].astype(f32), bias
            )
        self._draw_lashes(image, nearest, posed, lens)

    def _draw_lashes(self, image: NDArray[np.float32], nearest: NDArray[np.float32], posed: Array, lens: Lens) -> None:
        pairs, corners = self.head.lid_pairs.numpy(), self.head.lid_corners.numpy()
        for eye in range(2):
            gap, rest = (
                np.linalg.norm(v[pairs[eye, :, 0]] - v[pairs[eye, :, 1]], axis=1)[2:4].mean()
                for v in (posed, self.rest)
            )
            closure = float(np.clip(1 - gap / rest, 0, 1))
            for row, upper in ((0, True), (1, False)):
                lid = posed[np.concatenate([corners[eye, :1], pairs[eye, :, row], corners[eye, 1:]])]
                made = hair.lashes(
                    lid, closure, 1.0 if eye == 0 else -1.0, upper, 110 if upper else 60, 11 + 2 * eye + row
                )
                pixels, depth = lens.project(made)
                dark = np.broadcast_to(np.array(paint.HAIR * 0.25, np.float32), made.shape).copy()
                opacity = np.broadcast_to(np.linspace(0.55 if upper else 0.3, 0.1, 5)[None], depth.shape).astype(
                    np.float32
                )
                raster.hairs(image, nearest, pixels, depth, dark, opacity, 0.004)
