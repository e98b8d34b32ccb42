"""Where an avatar is seen from: paths round the head, and the cameras of a 3D viewer.

A viewer's world has its origin at the head's joint (its median place over the body loop), y up, z towards the clip's
camera, ten units to the metre: a head is then about 2.5 units high, as viewers and splat files expect. The splats
that `avatar_splat` makes stand in the same world, so a camera that frames one frames the avatar as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ..errors import InvalidInputError
from ..render.splat import to_splat_frame
from ..types import Avatar, Camera, Gaussians, MotionTrack
from .avatar_renderer import AvatarRenderer, scaled_camera
from .drive import HeadPose

UNITS_PER_M = 10.0
_FLIP = torch.tensor([1.0, -1.0, -1.0])  # between a viewer's axes (y up, z to it) and the camera's (y down, z forward)
_FOV_DEG = 35.0  # where a camera names none


def head_place_m(avatar: Avatar) -> Tensor:
    """The head joint's median place over the body loop, in the camera's axes [3]."""
    return avatar.body.track.translation_m.detach().float().cpu().median(dim=0).values


def avatar_splat(renderer: AvatarRenderer, motion: MotionTrack | None, frame: int) -> Gaussians:
    """One posed frame as a splat [1, M, ...]: of `motion`, or of the clip's own loop.

    Raises InvalidInputError when there is no such frame.
    """
    avatar = renderer.avatar
    count = avatar.body.track.count if motion is None else motion.count
    if not 0 <= frame < count:
        what = "clip's loop" if motion is None else "motion"
        raise InvalidInputError(f"The {what} has {count} frames, numbered from 0; got frame {frame}.")
    if motion is None:
        pose = HeadPose.of_track(avatar.body.track, frame, frame + 1)
    else:
        pose = renderer.pose(motion, frame, frame + 1)
    return to_splat_frame(renderer.gaussians(pose), origin_m=head_place_m(avatar), units_per_m=UNITS_PER_M)


def viewer_camera(avatar: Avatar) -> dict[str, Any]:
    """The clip's own camera as a viewer describes one (ComfyUI's LOAD3D_CAMERA)."""
    x, y, z = (-head_place_m(avatar) * _FLIP * UNITS_PER_M).tolist()
    width, height = avatar.size_px
    return {
        "position": {"x": x, "y": y, "z": z},
        "target": {"x": x, "y": y, "z": 0.0},  # straight ahead, as deep as the head
        "quaternion": {"x": 0.0, "y": 0.0, "z": 0.0, "w": 1.0},
        "fov": math.degrees(2 * math.atan(height / 2 / float(avatar.intrinsics_px[1, 1]))),
        "aspect": width / height,
        "zoom": 1.0,
        "cameraType": "perspective",
    }


def camera_from_viewer(info: Mapping[str, Any], avatar: Avatar) -> Camera:
    """The camera [1] that a viewer describes, in the avatar's picture size, whose height its field of view fills.

    Raises InvalidInputError when it is not a perspective camera or its numbers make no view.
    """
    if str(info.get("cameraType", "")).lower().startswith("ortho"):
        raise InvalidInputError(
            "The camera is orthographic; an avatar is drawn in perspective. Switch the camera's type."
        )
    place, turn = _point(info, "position"), _rotation(info)
    width, height = avatar.size_px
    fov, zoom = float(info.get("fov") or _FOV_DEG), float(info.get("zoom") or 1.0)
    if not (1.0 <= fov < 175.0 and 0.0 < zoom < 1e4):
        raise InvalidInputError(f"A field of view of {fov:g} degrees with zoom {zoom:g} makes no picture.")
    focal = height / 2 / math.tan(math.radians(fov) / 2) * zoom
    # a viewer's camera looks along its -z with y up; ours along z with y down
    rotation = (turn * _FLIP).T * _FLIP
    shift = -rotation @ (head_place_m(avatar) + _FLIP * place / UNITS_PER_M)
    view = torch.eye(4)
    view[:3, :3], view[:3, 3] = rotation, shift
    intrinsics = torch.tensor([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]])
    return Camera(view[None], intrinsics[None], width, height)


def orbit(
    avatar: Avatar,
    count: int,
    *,
    yaw_deg: float = 0.0,
    pitch_deg: float = 0.0,
    distance: float = 1.0,
    turns: float = 1.0,
    start: Camera | None = None,
) -> Camera:
    """A path of `count` cameras round the head, from `start` (the clip's own camera) and, at its end, back to it.

    The camera swings `yaw_deg` to both sides; up and down by `pitch_deg` twice as often (a lying eight); and its
    distance from the head grows to `distance` times what it was, and back. All this `turns` times.
    """
    still = scaled_camera(avatar.intrinsics_px, avatar.size_px, avatar.size_px) if start is None else start
    phase = torch.arange(count) / max(count, 1) * 2 * math.pi * turns
    yaw, pitch = math.radians(yaw_deg) * phase.sin(), math.radians(pitch_deg) * (2 * phase).sin()
    far = 1 + (distance - 1) * (1 - phase.cos()) / 2
    turn = torch.zeros(count, 4, 4)
    turn[:, 0, 0], turn[:, 0, 2] = yaw.cos(), yaw.sin()
    turn[:, 1, 0], turn[:, 1, 1] = yaw.sin() * pitch.sin(), pitch.cos()
    turn[:, 1, 2] = -yaw.cos() * pitch.sin()
    turn[:, 2, 0], turn[:, 2, 1] = -yaw.sin() * pitch.cos(), pitch.sin()
    turn[:, 2, 2] = yaw.cos() * pitch.cos()
    turn[:, 3, 3] = 1
    view = still.viewmat[0].float().cpu()
    centre = view[:3, :3] @ head_place_m(avatar) + view[:3, 3]
    turn[:, :3, 3] = far[:, None] * centre - turn[:, :3, :3] @ centre
    return Camera(turn @ view, still.intrinsics_px, still.width, still.height, still.near_m, still.far_m)


def _point(info: Mapping[str, Any], name: str) -> Tensor:
    given = info.get(name)
    values = [given.get(axis, 0.0) for axis in "xyz"] if isinstance(given, Mapping) else [math.nan]
    point = torch.tensor([float(v) for v in values])
    if len(point) != 3 or not bool(point.isfinite().all()):
        raise InvalidInputError(f"The camera's {name} must be three numbers x, y, z, got {given!r}.")
    return point


def _rotation(info: Mapping[str, Any]) -> Tensor:
    """The axes of a viewer's camera in its world, as columns: right, up, backwards."""
    given = info.get("quaternion")
    if isinstance(given, Mapping) and given:
        from ..render.projection_torch import quaternion_to_matrix

        quat = torch.tensor([[float(given.get(axis, 0.0)) for axis in "wxyz"]])
        if not (bool(quat.isfinite().all()) and float(quat.norm()) > 1e-6):
            raise InvalidInputError(f"The camera's quaternion must be a rotation, got {dict(given)!r}.")
        return quaternion_to_matrix(quat)[0]
    back = _point(info, "position") - _point(info, "target")
    if float(back.norm()) < 1e-6:
        raise InvalidInputError("The camera stands where it looks at: move its position or its target.")
    back = back / back.norm()
    up = torch.tensor([0.0, 0.0, 1.0] if float(back[1].abs()) > 0.999 else [0.0, 1.0, 0.0])
    right = torch.linalg.cross(up, back)
    right = right / right.norm()
    return torch.stack([right, torch.linalg.cross(back, right), back], dim=1)
