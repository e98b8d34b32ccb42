"""Pose, jaw and expression from the colours of the skin as well as from landmarks, by Gauss-Newton.

Each sample of the skin should show its albedo under the clip's light (skin.py), up to the exposure of the frame; what
the picture shows there instead pulls the head along the picture's gradient (Lucas and Kanade 1981).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .pictures import Pictures
from .skin import Appearance, Skin, appearance_of
from .solver import Motion, linearise, quiet

if TYPE_CHECKING:
    from torch import Tensor

_CHUNK = 8  # frames whose Jacobians are held at once
_EXPOSURE = (0.6, 1.6)  # of one frame against the clip


@dataclass(frozen=True)
class Strength:
    """How much the colours count."""

    weight: float  # of a sample, times its visibility; landmarks count about 1
    noise: float = 0.04  # colour difference that counts as one unit
    robust: float = 2.0  # units beyond which a sample counts less


@dataclass(frozen=True)
class Seen:
    """What the pictures show at the samples of some frames."""

    jacobian: Tensor  # [T, N, 2, 59] of the place in the frame by the unknowns
    by_head: Tensor  # [T, N, 2, 3] by the point in head axes
    slope: Tensor  # [T, N, 3, 2] of the colour by the place, in units
    error: Tensor  # [T, N, 3] colour less what was expected, in units
    weights: Tensor  # [T, N]


def equations(
    skin: Skin, appearance: Appearance, pictures: Pictures, motion: Motion, focal_px: float, strength: Strength,
    heartbeat: Callable[[], None] = quiet,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Hessian [T, 59, 59] and gradient [T, 59] of the colours' misfit."""
    import torch

    hessians: list[Tensor] = []
    gradients: list[Tensor] = []
    for start in range(0, len(motion.jaw_rad), _CHUNK):
        heartbeat()
        stop = start + _CHUNK
        seen = look(
            skin, appearance, pictures.part(start, stop), motion.part(start, stop), focal_px, strength
        )  # fmt: skip
        weighted = seen.slope * seen.weights[..., None, None]  # [t, N, 3, 2]
        normal = weighted.mT @ seen.slope  # [t, N, 2, 2]
        pull = (weighted.mT @ seen.error[..., None])[..., 0]  # [t, N, 2]
        rows = seen.jacobian.flatten(1, 2)  # [t, 2 N, 59]
        hessians.append(rows.mT @ (normal @ seen.jacobian).flatten(1, 2))
        gradients.append((rows.mT @ pull.flatten(1, 2)[..., None])[..., 0])
    return torch.cat(hessians), torch.cat(gradients)


def look(
    skin: Skin, appearance: Appearance, pictures: Pictures, motion: Motion, focal_px: float, strength: Strength
) -> Seen:
    """Compare a few frames with what is expected of them."""
    flat, jacobian, by_head = linearise(skin.model, motion, focal_px)
    points = skin.model.points(motion.expression, motion.jaw_rad) @ motion.rotation.mT
    normals, shown = skin.facing(motion, points + motion.translation_m[:, None])
    colors, slope, inside = pictures.look(flat)
    weights = shown * inside * skin.trust
    expected = appearance.colors(normals)
    error = colors - exposure(colors, expected, weights)[:, None] * expected
    error = error / strength.noise
    robust = 1 / (1 + error.square().mean(-1) / strength.robust**2)
    return Seen(jacobian, by_head, slope / strength.noise, error, strength.weight * weights * robust)


def exposure(colors: Tensor, expected: Tensor, weights: Tensor) -> Tensor:
    """One factor per frame and channel [T, 3] that brings what is expected [T, N, 3] to what is seen [T, N, 3]."""
    error = (colors - expected).norm(dim=-1)
    robust = (weights / (1 + (error / 0.1) ** 2))[..., None]
    gain = (robust * colors * expected).sum(1) / (robust * expected * expected).sum(1).clamp(min=1e-6)
    return gain.clamp(*_EXPOSURE)


def learn(skin: Skin, pictures: Pictures, motion: Motion, focal_px: float) -> Appearance:
    """Albedo and light of the frames given."""
    colors, normals, weights = sampled(skin, pictures, motion, focal_px)
    return appearance_of(colors, normals, weights)


def sampled(skin: Skin, pictures: Pictures, motion: Motion, focal_px: float) -> tuple[Tensor, Tensor, Tensor]:
    """Colours [T, N, 3], normals in camera axes [T, N, 3] and visibility [T, N] of the samples."""
    points = skin.model.points(motion.expression, motion.jaw_rad) @ motion.rotation.mT
    points = points + motion.translation_m[:, None]
    normals, shown = skin.facing(motion, points)
    colors, _, inside = pictures.look(focal_px * points[..., :2] / points[..., 2:])
    return colors, normals, shown * inside
