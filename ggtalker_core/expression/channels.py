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
# What makes the mouth narrow or broad. Somebody who opens the mouth further does not round it more: the person's gain
# leaves these alone (with it, rounded lips of avatars came out a fifth narrower than those of the filmed people).
BREADTH = ("mouthFunnel", "mouthPucker", "mouthSmile", "mouthStretch")
INDEX = {name: i for i, name in enumerate(CHANNELS)}
N_CHANNELS = len(CHANNELS)

# ARKit's mouthFunnel parts the lips while it pushes them out; a person who rounds the lips does not. So our funnel
# comes with as much of ARKit's mouthClose as it opens (13.2 mm by 34.2 mm a unit). Tracked mouths of people agree: see
# benchmarks/speech.py, "correlation with tracked human mouths".
FUNNEL_CLOSE = 13.20 / 34.20

# Height of the upper over the lower lip at the mid-line of the default head: neutral, and per unit of each channel.
# Measured on the skinned head; linear in the weights of speech to about 0.2 mm.
NEUTRAL_GAP_MM = 0.80
GAP_MM = (36.24, -34.20, 0.00, -1.20, -2.60, -3.20, -2.80, -5.00, 4.10, -3.00, 0.40, 3.80, 4.80)


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
    if "mouthClose" in names:
        out[..., names.index("mouthClose")] += FUNNEL_CLOSE * channels[..., INDEX["mouthFunnel"]]
    return out


def from_arkit(weights: Tensor, names: tuple[str, ...]) -> Tensor:
    """Mouth channels [..., 13] of ARKit weights [..., len(names)]; left and right are averaged. Undoes `to_arkit`."""
    import torch

    columns = [[i for i, n in enumerate(names) if n in (c, c + "Left", c + "Right")] for c in CHANNELS]
    out = torch.stack([weights[..., ids].mean(-1) for ids in columns], -1)
    out[..., INDEX["mouthClose"]] -= FUNNEL_CLOSE * out[..., INDEX["mouthFunnel"]]
    return out


def to_expression(channels: Tensor, arkit: ArkitMap) -> tuple[Tensor, Tensor]:
    """Mouth channels [T, 13] -> (expression [T, 50], jaw [T, 3] radians) of the head that owns `arkit`."""
    return arkit.from_weights(to_arkit(channels, arkit.names))
