"""A tracked clip as motion for any avatar."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from ..errors import InvalidInputError

if TYPE_CHECKING:
    from torch import Tensor

    from ..types import MotionTrack, Track

POSES = ("relative", "absolute", "avatar")


def motion_of_track(track: Track, pose: str = "relative", onto: Track | None = None) -> MotionTrack:
    """Expression, jaw, gaze and head pose of a track.

    Args:
        track: what was tracked.
        pose: `relative`: the head moves about its mean place as it does in the clip, but stands where the head of
            `onto` stands on average; `absolute`: it stands where it stood before the clip's camera; `avatar`: no head
            pose, the avatar's own body loop supplies it.
        onto: the track of the avatar's body loop, for `relative`.

    Raises:
        InvalidInputError: another pose, `relative` without `onto`, or tracks of different heads.
    """
    if pose not in POSES:
        raise InvalidInputError(f"The pose must be one of {', '.join(POSES)}, got '{pose}'.")
    if onto is not None and onto.head_model != track.head_model:
        raise InvalidInputError(
            f"The clip was tracked with head '{track.head_model}' but the avatar has head '{onto.head_model}'; their "
            "expressions do not mean the same. Track the clip with the avatar's head."
        )
    motion = track.to_motion()
    if pose == "absolute":
        return motion
    if pose == "avatar":
        return dataclasses.replace(motion, rotation_rad=None, translation_m=None)
    if onto is None:
        raise InvalidInputError(
            "A relative pose needs the avatar whose place the head takes: connect it, or choose absolute or avatar."
        )
    return dataclasses.replace(motion, **_moved(track, onto))


def _moved(track: Track, onto: Track) -> dict[str, Tensor]:
    """The pose of `track` about the mean pose of `onto`: turns in head axes, moves in camera axes."""
    from .rotations import from_quaternions, to_quaternions

    turns = to_quaternions(track.rotation_rad)
    used = track.valid if bool(track.valid.any()) else track.valid | True
    own, there = _mean_turn(turns[used]), _mean_turn(to_quaternions(onto.rotation_rad))
    back = own * own.new_tensor([1.0, -1.0, -1.0, -1.0])
    moves = track.translation_m - track.translation_m[used].mean(0)
    return {
        "rotation_rad": from_quaternions(_product(_product(there, back)[None], turns)),
        "translation_m": onto.translation_m.mean(0) + moves,
    }


def _mean_turn(quats: Tensor) -> Tensor:
    """The unit quaternion [4] nearest to all of [T, 4], whatever their signs (Markley et al. 2007)."""
    import torch

    return torch.linalg.eigh((quats.mT @ quats).double())[1][:, -1].to(quats)


def _product(a: Tensor, b: Tensor) -> Tensor:
    """Hamilton product of wxyz quaternions [..., 4]."""
    import torch

    w, v = a[..., :1], a[..., 1:]
    x, u = b[..., :1], b[..., 1:]
    vector = w * u + x * v + torch.linalg.cross(*torch.broadcast_tensors(v, u))
    return torch.cat([w * x - (v * u).sum(-1, keepdim=True), vector], -1)
