"""A look on the face while speaking: rule-made offsets of the mouth's ARKit weights, stronger where more is said.

No emotion was in the training of the bundled prior, so none of this is learnt: it is the smile, the frown or the
pressed corners that ARKit names, laid over the speech. Where the lips must meet they still meet: what would part them
is only added while the mouth is open. Brows, lids and gaze are the avatar's own and are not touched.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InvalidInputError
from .channels import lip_gap_mm

EMOTIONS = ("neutral", "happy", "sad", "angry", "surprised", "disgusted")
# Weight at intensity 1: (in rest, added while the mouth is open).
_LOOKS: dict[str, dict[str, tuple[float, float]]] = {
    "neutral": {},
    "happy": {"mouthSmile": (0.45, 0.20), "mouthDimple": (0.15, 0.05), "mouthStretch": (0.05, 0.10)},
    "sad": {"mouthFrown": (0.50, 0.10), "mouthShrugLower": (0.10, 0.0)},
    "angry": {"mouthFrown": (0.15, 0.10), "mouthPress": (0.25, 0.0), "mouthLowerDown": (0.0, 0.30)},
    "surprised": {"mouthFunnel": (0.0, 0.12), "jawOpen": (0.0, 0.06)},
    "disgusted": {"mouthUpperUp": (0.0, 0.35), "mouthFrown": (0.20, 0.05)},
}
_OPEN_MM = 6.0  # a lip gap that counts as fully open


def check_emotion(emotion: str, intensity: float) -> None:
    """Raise InvalidInputError for an unknown emotion or an intensity outside [0, 1]."""
    if emotion not in EMOTIONS:
        raise InvalidInputError(f"emotion must be one of {', '.join(EMOTIONS)}, got {emotion!r}.")
    if not 0 <= intensity <= 1:
        raise InvalidInputError(f"emotion_intensity must be in [0, 1], got {intensity}.")


def add_emotion(channels: Tensor, weights: Tensor, names: tuple[str, ...], emotion: str, intensity: float) -> Tensor:
    """ARKit weights [T, len(names)] of mouth channels [T, 13] with the look of an emotion laid over them."""
    if emotion == "neutral" or intensity == 0:
        return weights
    openness = (lip_gap_mm(channels) / _OPEN_MM).clamp(0, 1)[:, None]  # 0 in closures and in rest
    out = weights.clone()
    for stem, (rest, speaking) in _LOOKS[emotion].items():
        columns = torch.tensor([i for i, n in enumerate(names) if n.removesuffix("Left").removesuffix("Right") == stem])
        out[:, columns] += intensity * (rest + speaking * openness)
    return out
