"""What the head does in frame i of a video: the mouth from the motion, the rest from the avatar's body loop."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..types import Avatar, MotionTrack, Track
from .sway import sway_offset

if TYPE_CHECKING:
    from ..head import ArkitMap, HeadModel
    from ..types import HairSway


@dataclass(frozen=True)
class HeadPose:
    """Everything that moves the head model, for B frames."""

    expression: Tensor  # [B, 50]
    jaw_rad: Tensor  # [B, 3]
    neck_rad: Tensor  # [B, 3]
    eyes_rad: Tensor  # [B, 6]
    rotation_rad: Tensor  # [B, 3]
    translation_m: Tensor  # [B, 3]

    @property
    def count(self) -> int:
        """Number of frames."""
        return int(self.expression.shape[0])

    def to(self, device: torch.device | str) -> HeadPose:
        """The same pose on `device`."""
        return HeadPose(*(getattr(self, f.name).to(device) for f in dataclasses.fields(self)))

    @staticmethod
    def of_track(track: Track, start: int, stop: int) -> HeadPose:
        """The tracked pose of the frames start..stop."""
        part = track.slice(start, stop)
        return HeadPose(
            part.expression, part.jaw_rad, part.neck_rad, part.eyes_rad, part.rotation_rad, part.translation_m
        )


def same_branch(rotation_rad: Tensor) -> Tensor:
    """The same rotations with axis-angles that follow one another: [T, 3] -> [T, 3].

    A frontal head is turned by about pi about x, where an axis-angle jumps to its opposite; of the two that mean the
    same rotation the one whose x is positive is taken (its angle may be a little over pi).
    """
    angle = rotation_rad.norm(dim=-1, keepdim=True)
    other = rotation_rad * (1 - 2 * math.pi / angle.clamp_min(1e-6))
    flip = (rotation_rad[..., :1] < 0) & (angle > math.pi / 2)
    return torch.where(flip, other, rotation_rad)


def loop_indices(avatar: Avatar, motion: MotionTrack, start: int, stop: int) -> Tensor:
    """The body-loop frame under each output frame start..stop (there and back, in time with the motion), [B]."""
    return torch.tensor([avatar.body.frame_at(i, motion.fps) for i in range(start, stop)], dtype=torch.long)


def resolve_pose(avatar: Avatar, motion: MotionTrack, start: int, stop: int, arkit: ArkitMap | None) -> HeadPose:
    """The pose of the frames start..stop. Speech moves mouth and jaw only, unless the motion carries more.

    `arkit` tells mouth from brows and lids; a head without that map takes the whole expression from the motion.
    """
    part = motion.slice(start, stop)
    loop, index = avatar.body.track, loop_indices(avatar, motion, start, start + part.count)
    expression = part.expression
    if not motion.covers_upper_face and arkit is not None:
        expression = arkit.mix(expression, part.jaw_rad, loop.expression[index])
    if part.eyelids is not None and arkit is not None:
        expression = _with_lids(expression, part.jaw_rad, part.eyelids, arkit)
    return HeadPose(
        expression=expression,
        jaw_rad=part.jaw_rad,
        neck_rad=loop.neck_rad[index],
        eyes_rad=loop.eyes_rad[index] if part.eyes_rad is None else part.eyes_rad,
        rotation_rad=loop.rotation_rad[index] if part.rotation_rad is None else part.rotation_rad,
        translation_m=loop.translation_m[index] if part.translation_m is None else part.translation_m,
    )


def _with_lids(expression: Tensor, jaw_rad: Tensor, closure: Tensor, arkit: ArkitMap) -> Tensor:
    """The expression with its blink channels replaced; closure [B, 2] left, right."""
    weights = arkit.to_weights(expression, jaw_rad)
    columns = [arkit.index("eyeBlinkLeft"), arkit.index("eyeBlinkRight")]
    weights[:, columns] = closure.to(weights)
    return arkit.from_weights(weights)[0]


def posed_vertices(
    head: HeadModel, shape: Tensor, offset_m: Tensor | None, pose: HeadPose, sway: HairSway | None = None
) -> Tensor:  # fmt: skip
    """The head's vertices in camera space, [B, V, 3]; differentiable. `sway` is the hair's own motion."""
    from ..head.pose import transform

    if sway is not None:
        moved = sway_offset(sway, pose.rotation_rad, pose.translation_m)
        offset_m = moved if offset_m is None else offset_m + moved
    local = head.vertices(
        shape, pose.expression, pose.jaw_rad, pose.neck_rad, pose.eyes_rad, offset_m=offset_m
    )  # fmt: skip
    return transform(local, pose.rotation_rad, pose.translation_m)
