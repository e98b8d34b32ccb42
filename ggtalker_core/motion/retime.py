"""Another frame rate."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import TYPE_CHECKING

from ..errors import InvalidInputError
from ..types import frame_count
from .rotations import from_quaternions, to_quaternions

if TYPE_CHECKING:
    from torch import Tensor

    from ..types import MotionTrack


def retime(motion: MotionTrack, fps: Fraction) -> MotionTrack:
    """The motion sampled at another frame rate; its length in seconds, and the audio, stay.

    Values between two frames are interpolated linearly, rotations along the shorter arc. With audio the new count is
    ceil(audio seconds x fps).

    Raises:
        InvalidInputError: a rate outside 1..240 fps.
    """
    import torch

    if not 1 <= fps <= 240:
        raise InvalidInputError(f"The frame rate must lie in 1..240 fps, got {float(fps):g}.")
    if fps == motion.fps or motion.count == 0:
        return dataclasses.replace(motion, fps=fps)
    seconds = motion.audio.duration_s if motion.audio is not None else motion.count / motion.fps
    count = max(1, frame_count(seconds, fps))
    at = [min(k * motion.fps / fps, Fraction(motion.count - 1)) for k in range(count)]
    low = torch.tensor([int(t) for t in at])
    part = torch.tensor([float(t - int(t)) for t in at])[:, None]
    high = (low + 1).clamp(max=motion.count - 1)

    def between(x: Tensor | None) -> Tensor | None:
        return None if x is None else x[low] + part.to(x) * (x[high] - x[low])

    rotation = motion.rotation_rad
    if rotation is not None:
        rotation = from_quaternions(between(to_quaternions(rotation)))  # type: ignore[arg-type]
    names = ("expression", "jaw_rad", "eyes_rad", "eyelids", "translation_m")
    changes = {name: between(getattr(motion, name)) for name in names}
    return dataclasses.replace(motion, fps=fps, rotation_rad=rotation, **changes)  # type: ignore[arg-type]
