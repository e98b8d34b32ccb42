"""Head pose and gaze from elsewhere."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from ..errors import InvalidInputError
from .retime import retime

if TYPE_CHECKING:
    from ..types import MotionTrack


def ping_pong(count: int, length: int) -> list[int]:
    """`length` frame numbers that run through `count` frames there and back again, so that nothing jumps.

    Raises InvalidInputError where there is no frame.
    """
    if count < 1:
        raise InvalidInputError("There is no frame to loop over.")
    period = max(2 * (count - 1), 1)
    return [min(i % period, period - i % period) if count > 1 else 0 for i in range(length)]


def to_length(motion: MotionTrack, length: int) -> MotionTrack:
    """The motion cut to `length` frames, or run there and back until it is that long; its sound is dropped.

    Raises InvalidInputError where the motion has no frame, or none is asked for.
    """
    if length < 1:
        raise InvalidInputError(f"A motion needs at least one frame, got {length}.")
    index = ping_pong(motion.count, length)
    names = ("expression", "jaw_rad", "eyes_rad", "eyelids", "rotation_rad", "translation_m")
    changes = {name: None if getattr(motion, name) is None else getattr(motion, name)[index] for name in names}
    return dataclasses.replace(motion, audio=None, **changes)


def take_pose(motion: MotionTrack, other: MotionTrack, *, gaze: bool = True) -> MotionTrack:
    """`motion` with the head pose (and gaze) of `other`, brought to its frame rate and looped to its length.

    Raises InvalidInputError where `other` holds no head pose.
    """
    if other.rotation_rad is None or other.translation_m is None:
        raise InvalidInputError("The other motion holds no head pose. Take one that was tracked from a clip.")
    source = retime(dataclasses.replace(other, audio=None), motion.fps)
    index = ping_pong(source.count, motion.count)
    eyes = source.eyes_rad[index] if gaze and source.eyes_rad is not None else motion.eyes_rad
    return dataclasses.replace(
        motion,
        rotation_rad=None if source.rotation_rad is None else source.rotation_rad[index],
        translation_m=None if source.translation_m is None else source.translation_m[index],
        eyes_rad=eyes,
    )


def hold_pose(motion: MotionTrack, frame: int = 0) -> MotionTrack:
    """The motion with the head still, as it stands in one of its frames.

    Raises InvalidInputError where the motion holds no head pose, or no such frame.
    """
    if motion.rotation_rad is None or motion.translation_m is None:
        raise InvalidInputError("The motion holds no head pose; the avatar's body loop supplies it.")
    if not 0 <= frame < motion.count:
        raise InvalidInputError(f"The motion has {motion.count} frames; there is no frame {frame}.")
    still = [frame] * motion.count
    return dataclasses.replace(
        motion, rotation_rad=motion.rotation_rad[still], translation_m=motion.translation_m[still]
    )
