"""More or less mouth."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from ..errors import InvalidInputError

if TYPE_CHECKING:
    from torch import Tensor

    from ..types import MotionTrack


def scale_mouth(
    motion: MotionTrack,
    gain: float,
    *,
    jaw_gain: float | None = None,
    rest_expression: Tensor | None = None,  # [50]
    rest_jaw_rad: Tensor | None = None,  # [3]
    mouth_projection: Tensor | None = None,  # [50, 50]
) -> MotionTrack:
    """The motion with its distance from the rest pose multiplied.

    Args:
        motion: what to edit.
        gain: 1 leaves it, 0 holds the rest pose, 1.2 articulates more.
        jaw_gain: the same for the jaw; default: `gain`.
        rest_expression: the pose from which is measured; default zero.
        rest_jaw_rad: likewise for the jaw.
        mouth_projection: projects expressions onto the mouth (`ArkitMap.mouth_projection()`); with it, brows and
            lids stay as they are.

    Raises:
        InvalidInputError: a gain outside 0..4.
    """
    jaw = gain if jaw_gain is None else jaw_gain
    for value in (gain, jaw):
        if not 0 <= value <= 4:
            raise InvalidInputError(f"A mouth gain must lie in 0..4 (1 changes nothing), got {value}.")
    change = motion.expression if rest_expression is None else motion.expression - rest_expression
    if mouth_projection is not None:
        change = change @ mouth_projection.to(change).T
    jaw_change = motion.jaw_rad if rest_jaw_rad is None else motion.jaw_rad - rest_jaw_rad
    return dataclasses.replace(
        motion, expression=motion.expression + (gain - 1) * change, jaw_rad=motion.jaw_rad + (jaw - 1) * jaw_change
    )
