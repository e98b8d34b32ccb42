"""The 13 symmetric mouth channels in which the prior works, and what they do to the lips of the default head.

They are ARKit weights with left and right together, so that the prior does not depend on the expression basis of any
head: `to_expression` expands them with the ARKit map of the head that is driven.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from ..head.arkit import ArkitMap

CHANNELS = (
    "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker", "mouthPress", "mouthRollLower", "mouthRollUpper",
    "mouthShrugLower", "mouthShrugUpper", "mouthSmile", "mouthStretch", "mouthLowerDown", "mouthUpperUp",
)  # fmt: skip
INDEX = {name: i for i, name in enumerate(CHANNELS)}
N_CHANNELS = len(CHANNELS)

# Height of the upper over the lower lip at the mid-line of the default head: neutral, and per unit of each channel.
# Measured on the skinned head; linear in the weights of speech to about 0.2 mm.
NEUTRAL_GAP_MM = 0.80
GAP_MM = (36.24, -34.20, 13.20, -1.20, -2.60, -3.20, -2.80, -5.00, 4.10, -3.00, 0.40, 3.80, 4.80)


def lip_gap_mm(channels: Tensor) -> Tensor:
    """Signed mid-line lip gap of the default head in millimetres; channels [..., 13] -> [...]."""
    return channels @ channels.new_tensor(GAP_MM) + NEUTRAL_GAP_MM


def to_arkit(channels: Tensor, names: tuple[str, ...]) -> Tensor:
    """The named ARKit weights [..., len(names)] of mouth channels [..., 13]; left and right get the same value."""
    out = channels.new_zeros(*channels.shape[:-1], len(names))
    for i, name in enumerate(names):
        stem = name.removesuffix("Left").removesuffix("Right")
        if name in INDEX:
            out[..., i] = channels[..., INDEX[name]]
        elif stem in INDEX and stem != name and stem != "jawOpen":
            out[..., i] = channels[..., INDEX[stem]]
    return out


def to_expression(channels: Tensor, arkit: ArkitMap) -> tuple[Tensor, Tensor]:
    """Mouth channels [T, 13] -> (expression [T, 50], jaw [T, 3] radians) of the head that owns `arkit`."""
    return arkit.from_weights(to_arkit(channels, arkit.names))
