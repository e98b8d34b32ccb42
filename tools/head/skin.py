"""A procedural skin for renders of the default head: what a landmark detector, or a viewer, needs to see a face.

Colours come per pixel from the place on the template, so that brows, lips and lashes have the right outline on the
coarse mesh. sRGB 0..255.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import regions
import surface
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from zbuffer import Hits

from ggtalker_core.head.model import HeadModel

Points = NDArray[np.float64]
IRIS_RADIUS_M, PUPIL_RADIUS_M = 0.0059, 0.0022
# The mesh's tongue fills the mouth; between real lips there is a dark gap, which the landmark detector looks for.
DARK_TONGUE = (66.0, 26.0, 26.0)
LIP_SHARE = (1.0,) * 7 + (0.4, 0.05)  # of lip colour by edge ring around the mouth


@dataclass(frozen=True)
class Look:
    """The colours of one person."""

    skin: tuple[float, float, float] = (224, 178, 152)
    lips: tuple[float, float, float] = (186, 108, 104)
    hair: tuple[float, float, float] = (72, 50, 38)
    iris: tuple[float, float, float] = (84, 62, 44)
    tongue: tuple[float, float, float] = (150, 74, 76)
    lashes: float = 0.6
    brow_width_m: float = 0.0042
    blush: float = 0.6


def random_look(rng: np.random.Generator) -> Look:
    """Skin from dark to pale, with lips, hair and eyes that go with it."""
    light = rng.random()
    skin = np.array([96, 62, 46]) * (1 - light) + np.array([238, 198, 176]) * light + rng.normal(0, 6, 3)
    hair = np.array([34, 26, 22]) + rng.random() * light * np.array([120, 90, 50])
    iris = np.array([60, 40, 28]) + rng.random() * light * np.array([50, 80, 90])
    return Look(
        tuple(skin), tuple(0.72 * skin * [1.08, 0.8, 0.84]), tuple(hair), tuple(iris), DARK_TONGUE,
        rng.uniform(0.1, 0.9), rng.uniform(0.003, 0.0055), rng.uniform(0.2, 1.0),
    )  # fmt: skip


class Skin:
    """Paints what a camera sees of one head."""

    def __init__(self, head: HeadModel):
        self.faces = head.faces.numpy()
        self.template = head.template_m.double().numpy()
        region = head.regions.of_face.numpy()
        names = list(head.regions.names)
        self.region = region

        def touching(*wanted: str) -> NDArray[np.bool_]:
            out = np.zeros(len(self.template), bool)
            out[self.faces[np.isin(region, [names.index(n) for n in wanted])].reshape(-1)] = True
            return out

        self.names = names
        skin = touching("face", "lips", "lids", "brows", "nose", "ears", "scalp", "neck")
        adjacent = surface.neighbours(self.faces, len(self.template))
        mouth = surface.rings(adjacent, np.flatnonzero(skin & touching("cavity")), skin)
        lids = surface.rings(adjacent, np.flatnonzero(skin & touching("socket")), skin)
        self.lip_share = np.where(
            mouth < len(LIP_SHARE), np.array([*LIP_SHARE, 0.0])[np.minimum(mouth, len(LIP_SHARE))], 0
        )
        upper = self.template[:, 1] > self.template[head.lid_corners.numpy(), 1].mean()
        self.lash_share = np.select([lids <= 2, lids == 3, lids == 4], [0.9, 0.6, 0.15], 0.0) * np.where(upper, 1, 0.5)
        line = np.array(regions.BROW_M)
        steps = np.linspace(0, len(line) - 1, 80)
        line = np.stack([np.interp(steps, range(len(line)), line[:, k]) for k in range(3)], 1)
        self.brow_tree = cKDTree(np.concatenate([line, line * surface.FLIP]))
        eyes = head.regions.vertices("eyes").numpy()
        self.eye_centres = [self.template[eyes & (self.template[:, 0] * s > 0)].mean(0) for s in (1, -1)]

    def paint(self, hits: Hits, look: Look) -> Points:
        """Colours of all pixels, [H, W, 3] 0..255; white where nothing was hit."""
        out = np.full((*hits.triangle.shape, 3), 255.0)
        seen = hits.triangle >= 0
        triangle, b = hits.triangle[seen], hits.barycentric[seen]
        corners = self.faces[triangle]
        place = (b[..., None] * self.template[corners]).sum(1)  # on the template
        region = self.region[triangle]

        def where(*wanted: str) -> NDArray[np.bool_]:
            return np.isin(region, [self.names.index(n) for n in wanted])

        colour = self._skin(place, corners, b, look)
        colour[where("scalp")] = look.hair
        colour[where("teeth_upper", "teeth_lower")] = (232, 226, 214)
        colour[where("tongue")] = look.tongue
        colour[where("cavity")] = (58, 22, 22)
        colour[where("socket")] = np.array(look.skin) * 0.6
        eyes = where("eyes")
        colour[eyes] = self._eyes(place[eyes], look)
        out[seen] = colour
        return out

    def _skin(self, place: Points, corners: NDArray[np.int64], b: Points, look: Look) -> Points:
        colour = np.tile(np.array(look.skin, float), (len(place), 1))
        x, y, _ = place.T
        spots = ((0.042, 0.0, 0.016, 1.0), (0.0, 0.005, 0.012, 0.7), (0.0, -0.06, 0.014, 0.4))  # cheeks, nose, chin
        red = sum(a * np.exp(-((np.abs(x) - cx) ** 2 + (y - cy) ** 2) / (2 * r * r)) for cx, cy, r, a in spots)
        colour -= look.blush * np.asarray(red)[:, None] * [4, 22, 20]
        lips = (b * self.lip_share[corners]).sum(1)[:, None]
        colour = colour * (1 - lips) + np.array(look.lips) * lips
        brow = np.clip((look.brow_width_m - self.brow_tree.query(place)[0]) / 0.0015 + 0.5, 0, 1)[:, None] * 0.85
        colour = colour * (1 - brow) + np.array(look.hair) * brow
        lash = look.lashes * (b * self.lash_share[corners]).sum(1)[:, None]
        return colour * (1 - lash) + np.array(look.hair) * 0.7 * lash

    def _eyes(self, place: Points, look: Look) -> Points:
        colour = np.tile(np.array([236.0, 232, 228]), (len(place), 1))
        for centre in self.eye_centres:
            near = np.linalg.norm(place - centre, axis=1) < 0.02
            r = np.linalg.norm(place[:, :2] - centre[:2], axis=1)
            front = near & (place[:, 2] > centre[2])
            edge = np.clip((IRIS_RADIUS_M - r) / 0.0006 + 0.5, 0, 1)[:, None] * front[:, None]
            colour = colour * (1 - edge) + np.array(look.iris) * edge
            hole = np.clip((PUPIL_RADIUS_M - r) / 0.0004 + 0.5, 0, 1)[:, None] * front[:, None]
            colour = colour * (1 - hole) + 14 * hole
        return colour
