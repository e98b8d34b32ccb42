"""The 49 expression shapes: ARKit without the jaw, made symmetric, and the mixing matrix of the coefficients."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skeleton import JAW, Skeleton, jaw_turn
from surface import FLIP

Points = NDArray[np.float64]
Ids = NDArray[np.int64]
JAW_NAMES = ("jawOpen", "jawLeft", "jawRight")
BLINK_SEAL = 1.04  # lids press together a little
CLOSE_AT = 0.5  # share of jawOpen at which mouthClose cancels the opening exactly


def other_side(name: str) -> str:
    """The ARKit name on the other side of the face."""
    if "Left" in name:
        return name.replace("Left", "Right")
    return name.replace("Right", "Left")


def symmetric_shapes(names: list[str], offsets: Points, mirror: Ids) -> dict[str, Points]:
    """Each shape averaged with the mirror image of its twin. offsets [52, V, 3] -> name -> [V, 3]."""
    table = dict(zip(names, offsets))
    return {n: (table[n] + table[other_side(n)][mirror] * FLIP) / 2 for n in names}


def expression_shapes(
    template: Points,
    shapes: dict[str, Points],
    eyes: Ids,
    lid_pairs: Ids,
    skeleton: Skeleton,
) -> tuple[list[str], Points]:
    """(names, offsets [49, V, 3]) of the shapes that are not jaw rotations.

    Gaze shapes lose the motion of the eyeballs (the eye joints turn them) and keep that of the lids. mouthClose is
    meant on top of an open jaw, and skinning would turn it with the jaw: it is made to fit the jaw half open.
    """
    names = [n for n in shapes if n not in JAW_NAMES]
    out = np.stack([shapes[n] for n in names])
    for i, name in enumerate(names):
        if name.startswith("eyeLook"):
            out[i][eyes] = 0
        if name.startswith("eyeBlink"):
            out[i] = even_blink(template, out[i], lid_pairs[0 if name.endswith("Left") else 1])
        if name == "mouthClose":
            out[i] = close_on_open_jaw(template, shapes["jawOpen"], out[i], skeleton)
    return names, out


def even_blink(template: Points, blink: Points, pairs: Ids) -> Points:
    """eyeBlink such that upper and lower lid meet at 1 along the whole eye. blink [V, 3], pairs [6, 2] of that eye.

    The artist's shape closes the outer corner at half its strength and then slides far over the lower lid. Its offsets
    are scaled by the strength at which the lids meet, a quadratic in the distance from the nose.
    """
    upper, lower = pairs.T
    open_m = template[upper, 1] - template[lower, 1]
    meets = open_m / (blink[lower, 1] - blink[upper, 1])  # strength at which the pair is at the same height
    across = np.abs(template[pairs].mean(1)[:, 0])
    fit = np.polyfit(across, meets, 2)
    x = np.clip(np.abs(template[:, 0]), across.min(), across.max())
    return blink * (BLINK_SEAL * np.polyval(fit, x))[:, None]


def close_on_open_jaw(template: Points, opened: Points, closed: Points, skeleton: Skeleton) -> Points:
    """mouthClose such that skinning a jaw at CLOSE_AT of its opening gives exactly the artist's closed lips. [V, 3]

    Only where the artist's shape moves the surface; elsewhere the turned jaw is left as it is.
    """
    angle = CLOSE_AT * skeleton.jaw_open_rad
    turn = jaw_turn(skeleton.weights, 0, angle)
    ready = template + skeleton.correctives[0] * np.sin(angle) - skeleton.joints[JAW]
    skinned = (turn @ ready[..., None])[..., 0] + skeleton.joints[JAW]
    size = np.linalg.norm(closed, axis=1)
    share = np.clip(size / (0.3 * size.max()), 0, 1)[:, None]
    arc = (template + CLOSE_AT * opened - skinned) * share
    return (np.linalg.inv(turn) @ (arc / CLOSE_AT + closed)[..., None])[..., 0]


def mixing_matrix(names: list[str], offsets: Points, seed: int = 0, count: int = 6000) -> Points:
    """Coefficients -> ARKit weights, [49, 49], invertible: coefficients of random faces have unit variance.

    Random faces: a third of the channels active, mostly weakly; left and right alike in 85 of 100. The columns are
    ordered by how far they move the surface.
    """
    rng = np.random.default_rng(seed)
    active = rng.beta(0.6, 2.2, (count, len(names))) * (rng.random((count, len(names))) < 0.35)
    for i, name in enumerate(names):
        twin = other_side(name)
        if "Left" in name and twin in names and not name.startswith("mouthLeft"):
            alike = rng.random(count) < 0.85
            noise = 0.05 * rng.standard_normal(alike.sum())
            active[alike, names.index(twin)] = np.clip(active[alike, i] + noise, 0, 1)
    root = np.linalg.cholesky(np.cov(active.T) + 1e-6 * np.eye(len(names)))
    turn = np.linalg.svd(root.T @ offsets.reshape(len(names), -1), full_matrices=False)[0]
    mixing = root @ turn
    sign = np.sign(mixing[np.abs(mixing).argmax(0), np.arange(len(names))])
    return mixing * sign
