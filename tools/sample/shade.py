"""Light on the picture: key with soft shadows, fill, rim, sky, translucent skin, wet eyes, glossy hair."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import raster
from geometry import unit
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Lamp:
    """A far light: direction towards it in head axes, and its colour in linear light."""

    towards: tuple[float, float, float]
    color: tuple[float, float, float]

    @property
    def direction(self) -> Array:
        """Unit vector towards the lamp."""
        return unit(np.array(self.towards))


KEY = Lamp((-0.55, 0.55, 0.85), (2.05, 1.98, 1.86))
FILL = Lamp((0.85, 0.12, 0.75), (0.50, 0.53, 0.60))
RIM = Lamp((0.75, 0.55, -0.65), (0.75, 0.78, 0.85))
SKY, GROUND = np.array([0.50, 0.53, 0.58]), np.array([0.30, 0.27, 0.25])
TOWARDS_VIEWER = np.array([0.0, 0.0, 1.0])


class ShadowMap:
    """Depth as the key lamp sees it, for soft shadows."""

    def __init__(self, points: Array, faces: NDArray[np.int64], size: int = 900, span_m: float = 0.75):
        """Draw the coarse mesh [V, 3], [F, 3] from the lamp."""
        forward = KEY.direction
        right = unit(np.cross([0.0, 1.0, 0.0], forward))
        self.axes = np.stack([right, np.cross(forward, right), forward])  # rows
        self.size, self.scale = size, size / span_m
        pixels, depth = self._project(points)
        f32 = np.float32
        _, _, self.nearest = raster.triangles(
            pixels.astype(f32), depth.astype(f32), faces.astype(np.int32), size, size, True
        )

    def _project(self, points: Array) -> tuple[Array, Array]:
        p = points @ self.axes.T
        return np.stack([self.size / 2 + self.scale * p[:, 0], self.size / 2 - self.scale * p[:, 1]], 1), -p[:, 2]

    def light(self, points: Array, normals: Array, softness_m: float = 0.007, taps: int = 14) -> Array:
        """Share of the lamp that reaches points [N, 3]."""
        pixels, depth = self._project(points + 0.003 * normals)
        lit = np.zeros(len(points))
        for k in range(taps):  # a sunflower of taps
            radius, turn = softness_m * self.scale * np.sqrt((k + 0.5) / taps), 2.4 * k
            x = np.clip((pixels[:, 0] + radius * np.cos(turn)).astype(int), 0, self.size - 1)
            y = np.clip((pixels[:, 1] + radius * np.sin(turn)).astype(int), 0, self.size - 1)
            lit += self.nearest[y, x] > depth - 0.004
        return lit / taps


def occlusion(depth: NDArray[np.float32], covered: NDArray[np.bool_], pixels_per_m: float) -> Array:
    """How open every pixel is to the sky, in [0, 1]: where the depth lies behind its blurred self, it is dark."""
    weight = covered.astype(np.float32)
    flat = np.where(covered, depth, 0).astype(np.float32)
    out = np.zeros_like(flat)
    for sigma_m, gain in ((0.0025, 70.0), (0.007, 26.0), (0.020, 9.0)):
        sigma = sigma_m * pixels_per_m
        mean = cv2.GaussianBlur(flat, (0, 0), sigma) / np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), 1e-3)
        out += np.clip(gain * (flat - mean), 0, 0.55)
    return 1 - np.clip(out, 0, 0.85)


def _wrapped(cosine: Array, wrap: Array) -> Array:
    """Lambert that reaches round the edge by `wrap` [3] per colour, as light that travels under skin does."""
    value = np.clip((cosine[:, None] + wrap) / (1 + wrap), 0, None)
    return value**1.15


def surface(
    albedo: Array, normal: Array, shadow: Array, open_sky: Array, gloss: Array, exponent: Array, skin: Array
) -> Array:
    """Radiance [N, 3] of surface points. skin [N]: how translucent; gloss [N], exponent [N] of the highlight."""
    wrap = np.array([0.36, 0.20, 0.14])[None] * skin[:, None]
    sky = SKY * (0.5 + 0.5 * normal[:, 1:2]) + GROUND * (0.5 - 0.5 * normal[:, 1:2])
    tint = np.array([1.0, 0.86, 0.80]) ** (2.2 * (1 - open_sky[:, None]) * skin[:, None])  # creases of skin glow red
    light = sky * open_sky[:, None] * tint
    shine = np.zeros(len(albedo))
    for lamp, visible in ((KEY, shadow), (FILL, open_sky), (RIM, np.sqrt(open_sky))):
        soft = visible[:, None] ** (1 - 0.45 * skin[:, None] * np.array([1.0, 0.45, 0.3]))
        light = light + np.array(lamp.color) * _wrapped(normal @ lamp.direction, wrap) * soft
        half = unit(lamp.direction + TOWARDS_VIEWER)
        brightness = float(np.mean(lamp.color))
        shine += brightness * visible * np.clip(normal @ half, 0, 1) ** exponent * (exponent + 2) / 8
    fresnel = 0.028 + 0.35 * (1 - np.clip(normal[:, 2], 0, 1)) ** 5
    return albedo * light / np.pi * 1.35 + (gloss * fresnel * shine)[:, None]


def hair_color(tangent: Array, base: Array, tone: Array, along: Array, shadow: Array) -> Array:
    """Radiance of hair [S, K, 3] after Kajiya and Kay (1989): tangent [S, K, 3], along [K] from root to tip."""
    out = (SKY * 0.75) * (0.35 + 0.65 * along)[None, :, None] + np.zeros_like(tangent)
    shine = np.zeros(tangent.shape[:2])
    for lamp, visible in ((KEY, shadow), (FILL, 1.0), (RIM, 1.0)):
        cosine = tangent @ lamp.direction
        sine = np.sqrt(np.clip(1 - cosine**2, 0, 1))
        out = out + np.array(lamp.color) * (sine * visible * (0.25 + 0.75 * along))[..., None] * 0.8
        viewer = np.sqrt(np.clip(1 - tangent[..., 2] ** 2, 0, 1))
        mirror = np.clip(sine * viewer - cosine * tangent[..., 2], 0, 1)
        shine += float(np.mean(lamp.color)) * visible * mirror**28
    color = base * tone[:, None, None] * out / np.pi * 1.5
    return color + (0.035 * shine * along)[..., None] * np.array([1.0, 0.92, 0.82])


def to_bytes(radiance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Linear light to sRGB levels 0..255 (not rounded), bright parts rolled off."""
    x = np.clip(radiance, 0, None)
    x = np.where(x > 0.6, 0.6 + 0.4 * (1 - np.exp(-(x - 0.6) / 0.4)), x)
    return (255 * np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.power(np.maximum(x, 1e-6), 1 / 2.4) - 0.055)).astype(
        np.float32
    )
