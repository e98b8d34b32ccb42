"""The 49 expression shapes: ARKit without the jaw, made symmetric, and the mixing matrix of the coefficients."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skeleton import Skeleton, jaw_turn
from surface import FLIP

Points = NDArray[np.float64]
JAW_NAMES = ("jawOpen", "jawLeft", "jawRight")
CLOSE_AT = 0.5  # share of jawOpen at which mouthClose cancels the opening exactly


def other_side(name: str) -> str:
    """The ARKit name on the other side of the face."""
    if "Left" in name:
        return name.replace("Left", "Right")
    return name.replace("Right", "Left")


def symmetric_shapes(names: list[str], offsets: Points, mirror: NDArray[np.int64]) -> dict[str, Points]:
    """Each shape averaged with the mirror image of its twin. offsets [52, V, 3] -> name -> [V, 3]."""
    table = dict(zip(names, offsets))
    return {n: (table[n] + table[other_side(n)][mirror] * FLIP) / 2 for n in names}


def expression_shapes(
    shapes: dict[str, Points], eyes: NDArray[np.int64], skeleton: Skeleton
) -> tuple[list[str], Points]:
    """(names, offsets [49, V, 3]) of the shapes that are not jaw rotations.

    Gaze shapes lose the motion of the eyeballs (the eye joints turn them) and keep that of the lids. mouthClose is
    meant on top of an open jaw, and skinning would turn it with the jaw: it is turned back for the jaw half open.
    """
    names = [n for n in shapes if n not in JAW_NAMES]
    out = np.stack([shapes[n] for n in names])
    for i, name in enumerate(names):
        if name.startswith("eyeLook"):
            out[i][eyes] = 0
        if name == "mouthClose":
            turn = jaw_turn(skeleton.weights, 0, CLOSE_AT * skeleton.jaw_open_rad)
            out[i] = (np.linalg.inv(turn) @ out[i][..., None])[..., 0]
    return names, out


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
