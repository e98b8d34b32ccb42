"""How the made-up person moves: the mouth after the phones of the voice, blinks, glances, brows, a living head."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from ggtalker_core.expression.channels import to_arkit
from ggtalker_core.expression.coarticulation import Manner, mouth_channels
from ggtalker_core.head.model import HeadModel
from ggtalker_core.motion.blink import blink_closure


@dataclass(frozen=True)
class Poses:
    """Parameters of every frame."""

    expression: Tensor  # [T, 50]
    jaw_rad: Tensor  # [T, 3]
    neck_rad: Tensor  # [T, 3]
    eyes_rad: Tensor  # [T, 6]
    sway_m: NDArray[np.float64]  # [T, 3]


def drift(count: int, fps: float, seconds: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Smooth noise that changes over about `seconds`; standard deviation 1."""
    x = gaussian_filter1d(rng.normal(size=count + 8 * int(fps * seconds)), fps * seconds / 2.5)
    x = x[4 * int(fps * seconds) :][:count]
    return (x - x.mean()) / x.std()


def glances(count: int, fps: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Gaze [T, 2] (pitch, yaw in rad): mostly at the camera, jumping aside now and then."""
    out, t = np.zeros((count, 2)), 0
    while t < count:
        stay = int(rng.uniform(0.5, 1.8) * fps)
        out[t : t + stay] = rng.normal(scale=(0.020, 0.035), size=2) * (3.0 if rng.random() < 0.22 else 1.0)
        t += stay
    return gaussian_filter1d(out, 0.6, axis=0)


def poses(head: HeadModel, phones: list[tuple[float, float, str]], seconds: float, fps: int, seed: int) -> Poses:
    """Everything that moves while the phones are spoken."""
    assert head.arkit is not None
    rng = np.random.default_rng(seed)
    channels, _ = mouth_channels(phones, seconds, fps=fps, manner=Manner(amplitude=1.05, lips=1.15), jitter=rng)
    count = len(channels)
    weights = to_arkit(torch.from_numpy(channels), head.arkit.names)
    blinks = [t for t in (0.9, 3.1, 5.2, 6.9, 8.6) if t < seconds - 0.4]
    closure = blink_closure(count, Fraction(fps), blinks)
    lively = gaussian_filter1d(channels[:, 0].astype(float), fps * 0.25)
    brow = np.clip(0.22 * drift(count, fps, 1.3, rng) + 1.2 * (lively - lively.mean()), -0.3, 0.6)
    gaze = glances(count, fps, rng)
    neck = np.stack([
        0.045 * drift(count, fps, 1.1, rng) + 0.25 * (lively - lively.mean()) + 0.02,
        0.130 * drift(count, fps, 1.9, rng),
        0.035 * drift(count, fps, 1.6, rng),
    ], 1)  # fmt: skip
    eyes = np.stack([gaze[:, 0] - 0.5 * neck[:, 0], gaze[:, 1] - 0.55 * neck[:, 1], np.zeros(count)], 1)

    def add(value: NDArray[np.float64], *names: str) -> None:
        for name in names:
            weights[:, head.arkit.index(name)] += torch.from_numpy(value).float()  # type: ignore[union-attr]

    add(np.clip(brow, 0, None), "browInnerUp", "browOuterUpLeft", "browOuterUpRight")
    add(np.clip(-brow, 0, None), "browDownLeft", "browDownRight")
    add(0.05 + 0.03 * drift(count, fps, 2.0, rng), "mouthSmileLeft", "mouthSmileRight")
    add(0.10 * np.clip(-eyes[:, 0], 0, None) / 0.05, "eyeWideLeft", "eyeWideRight")
    for k, name in enumerate(("eyeBlinkLeft", "eyeBlinkRight")):
        add(np.maximum(closure[:, k].numpy(), np.clip(2.2 * eyes[:, 0], 0, 0.3)), name)  # lids follow the gaze down
    expression, jaw = head.arkit.from_weights(weights)
    eyes_t = torch.from_numpy(np.concatenate([eyes, eyes], 1)).float()
    sway = np.stack(
        [
            0.0035 * drift(count, fps, 2.5, rng),
            0.0018 * drift(count, fps, 2.0, rng),
            0.004 * drift(count, fps, 3.0, rng),
        ],
        1,
    )
    return Poses(expression, jaw, torch.from_numpy(neck).float(), eyes_t, sway)
