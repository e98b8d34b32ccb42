"""How this person speaks: where the mouth rests, and how far it opens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ..types import SpeakingStyle

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..head import HeadModel
    from ..types import Track

_CORNERS = (61, 291)
_INNER = (13, 14)
_REST_SHARE = 0.12  # of the frames: the most closed mouths
# The bundled prior opens the default head's lips this far in the widest tenth of speech (mean of five voices).
_PRIOR_OPEN_M = 8.3e-3
_GAIN_POWER = 0.7  # a clip of a few seconds shows only part of what a person does: go most of the way
_GAIN_MIN, _GAIN_MAX = 0.85, 1.3


def mouth_opening(landmarks_px: NDArray[np.float32]) -> NDArray[np.float32]:
    """Distance between the inner lips as a share of the mouth's width; [T, 478, 2] -> [T]."""
    gap = np.linalg.norm(landmarks_px[:, _INNER[0]] - landmarks_px[:, _INNER[1]], axis=-1)
    width = np.linalg.norm(landmarks_px[:, _CORNERS[0]] - landmarks_px[:, _CORNERS[1]], axis=-1)
    return (gap / np.maximum(width, 1e-3)).astype(np.float32)


def speaking_style(head: HeadModel, track: Track, usable: list[int]) -> SpeakingStyle:
    """The rest pose, and how much wider or narrower than the prior this person opens the mouth.

    The rest pose is the median over the frames with the most closed lips, in the mouth's channels only.
    """
    opening = mouth_opening(track.landmarks_px.numpy())
    ranked = sorted(usable, key=lambda i: float(opening[i]))
    rest = torch.tensor(ranked[: max(3, round(_REST_SHARE * len(ranked)))])
    expression = track.expression[rest].median(dim=0).values
    jaw = track.jaw_rad[rest].median(dim=0).values
    if head.arkit is not None:
        expression = head.arkit.mouth_projection().to(expression) @ expression
    return SpeakingStyle(rest_expression=expression, rest_jaw_rad=jaw, mouth_gain=_mouth_gain(head, track, usable))


def _mouth_gain(head: HeadModel, track: Track, usable: list[int]) -> float:
    """The person's widest tenth against the prior's."""
    index = torch.tensor(usable)
    lips = head.subset(head.lip_pairs[5])  # the pair in the middle
    still = torch.zeros(1, 3)
    vertices = lips.vertices(
        track.shape, track.expression[index], track.jaw_rad[index], still, torch.zeros(1, 6)
    )  # fmt: skip
    gap = (vertices[:, 0] - vertices[:, 1]).norm(dim=-1)
    wide = float(gap.quantile(0.9))
    return float(np.clip((wide / _PRIOR_OPEN_M) ** _GAIN_POWER, _GAIN_MIN, _GAIN_MAX))
