"""Cameras of a 3D viewer, paths round the head, and the splat that stands in the viewer's world."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from ggtalker_core.errors import InvalidInputError
from ggtalker_core.gaussians import viewpoint
from ggtalker_core.gaussians.avatar_renderer import AvatarRenderer
from ggtalker_core.gaussians.synthetic import synthetic_avatar
from ggtalker_core.render.projection_torch import quaternion_to_matrix
from ggtalker_core.types import Avatar, Camera


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    return synthetic_avatar(32, 6, (64, 64))


def _pixel(camera: Camera, point: torch.Tensor, row: int = 0) -> torch.Tensor:
    """Where a point of the avatar's camera space is seen."""
    seen = camera.intrinsics_px[0] @ (camera.viewmat[row, :3, :3] @ point + camera.viewmat[row, :3, 3])
    return seen[:2] / seen[2]


def _look(yaw: float, pitch: float, distance: float, **more: object) -> dict[str, object]:
    """As ComfyUI's Create Camera Info in orbit mode, without a quaternion."""
    y, p = math.radians(yaw), math.radians(pitch)
    place = {"x": distance * math.cos(p) * math.sin(y), "y": distance * math.sin(p)}
    place["z"] = distance * math.cos(p) * math.cos(y)
    return {"position": place, "target": {"x": 0, "y": 0, "z": 0}, "fov": 30.0, "cameraType": "perspective", **more}


def test_the_clips_own_camera_goes_there_and_back(avatar: Avatar) -> None:
    back = viewpoint.camera_from_viewer(viewpoint.viewer_camera(avatar), avatar)
    assert (back.viewmat[0] - torch.eye(4)).abs().max() < 1e-5
    assert back.intrinsics_px[0, 1, 1] == pytest.approx(float(avatar.intrinsics_px[1, 1]), rel=1e-5)


def test_a_camera_in_front_sees_the_joint_in_the_middle_up_as_up(avatar: Avatar) -> None:
    camera = viewpoint.camera_from_viewer(_look(0, 0, 6.0), avatar)
    joint = viewpoint.head_place_m(avatar)
    assert _pixel(camera, joint).tolist() == pytest.approx([32, 32], abs=1e-3)
    above, left = joint + torch.tensor([0, -0.05, 0]), joint + torch.tensor([0.05, 0, 0])
    assert _pixel(camera, above)[1] < 32 and _pixel(camera, left)[0] > 32
    depth = float(camera.viewmat[0, 2, :3] @ joint + camera.viewmat[0, 2, 3])
    assert depth == pytest.approx(0.6, abs=1e-5), "six units are 0.6 m"
    focal = 32 / math.tan(math.radians(15))
    assert 32 - float(_pixel(camera, above)[1]) == pytest.approx(0.05 / 0.6 * focal, rel=1e-4)


def test_yaw_and_pitch_go_where_the_viewer_goes(avatar: Avatar) -> None:
    """From the viewer's right (+x) the nose (towards the clip's camera) points to the left; from above, down."""
    joint = viewpoint.head_place_m(avatar)
    nose = joint + torch.tensor([0, 0, -0.1])
    right = viewpoint.camera_from_viewer(_look(40, 0, 6.0), avatar)
    assert _pixel(right, nose)[0] < 31 and _pixel(right, nose)[1] == pytest.approx(32, abs=0.1)
    high = viewpoint.camera_from_viewer(_look(0, 40, 6.0), avatar)
    assert _pixel(high, nose)[1] > 33 and _pixel(high, nose)[0] == pytest.approx(32, abs=0.1)


def test_a_quaternion_says_the_same_as_a_target_and_can_roll(avatar: Avatar) -> None:
    yaw = math.radians(30) / 2
    turned = _look(30, 0, 6.0, quaternion={"x": 0, "y": math.sin(yaw), "z": 0, "w": math.cos(yaw)})
    by_target, by_turn = (viewpoint.camera_from_viewer(i, avatar) for i in (_look(30, 0, 6.0), turned))
    assert (by_target.viewmat - by_turn.viewmat).abs().max() < 1e-5
    rolled = _look(0, 0, 6.0, quaternion={"x": 0, "y": 0, "z": math.sin(math.pi / 4), "w": math.cos(math.pi / 4)})
    above = viewpoint.head_place_m(avatar) + torch.tensor([0, -0.05, 0])
    seen = _pixel(viewpoint.camera_from_viewer(rolled, avatar), above)
    assert seen[0] > 34 and seen[1] == pytest.approx(32, abs=0.1), "a camera rolled to its left sees up on the right"


def test_zoom_is_focal_length(avatar: Avatar) -> None:
    once, twice = (viewpoint.camera_from_viewer(_look(0, 0, 6.0, zoom=z), avatar) for z in (1.0, 2.0))
    assert twice.intrinsics_px[0, 0, 0] == pytest.approx(2 * float(once.intrinsics_px[0, 0, 0]))


@pytest.mark.parametrize(
    ("info", "text"),
    [
        (_look(0, 0, 6.0) | {"cameraType": "orthographic"}, "orthographic"),
        (_look(0, 0, 0.0), "where it looks at"),
        (_look(0, 0, 6.0) | {"fov": 179.9}, "field of view"),
        ({"target": {"x": 0, "y": 0, "z": 0}}, "position"),
        (_look(0, 0, float("nan")), "three numbers"),
        (_look(0, 0, 6.0) | {"quaternion": {"x": 0, "y": 0, "z": 0, "w": 0}}, "rotation"),
    ],
)
def test_cameras_that_make_no_view_are_refused(avatar: Avatar, info: dict, text: str) -> None:
    with pytest.raises(InvalidInputError, match=text):
        viewpoint.camera_from_viewer(info, avatar)


def test_an_orbit_begins_at_its_start_and_keeps_the_head_in_place(avatar: Avatar) -> None:
    joint = viewpoint.head_place_m(avatar)
    for start in (None, viewpoint.camera_from_viewer(_look(20, 10, 6.0), avatar)):
        path = viewpoint.orbit(avatar, 8, yaw_deg=30, pitch_deg=10, distance=2.0, start=start)
        first = torch.eye(4) if start is None else start.viewmat[0]
        assert path.viewmat.shape == (8, 4, 4) and (path.viewmat[0] - first).abs().max() < 1e-5
        rotations = path.viewmat[:, :3, :3]
        assert (rotations @ rotations.transpose(1, 2) - torch.eye(3)).abs().max() < 1e-5
        places = torch.stack([_pixel(path, joint, i) for i in range(8)])
        assert (places - places[0]).abs().max() < 1e-2, "the joint stays where it is in the picture"
        depth = path.viewmat[:, :3, :3] @ joint + path.viewmat[:, :3, 3]
        assert float(depth[4].norm() / depth[0].norm()) == pytest.approx(2.0, rel=1e-5)
    yaw = viewpoint.orbit(avatar, 4, yaw_deg=30).viewmat[1]
    assert float(yaw[0, 0]) == pytest.approx(math.cos(math.radians(30)), abs=1e-6)
    once, twice = (viewpoint.orbit(avatar, 8, yaw_deg=30, turns=t).viewmat for t in (1, 2))
    assert (twice[:4] - once[::2]).abs().max() < 1e-6


def test_the_splat_in_the_viewers_world_is_what_the_renderer_draws(avatar: Avatar) -> None:
    """Project the splat as a viewer does (turned by 180 degrees about x) and compare with the avatar's own camera."""
    renderer = AvatarRenderer(avatar)
    splat = viewpoint.avatar_splat(renderer, None, 2)
    info = viewpoint.viewer_camera(avatar)
    world = splat.means[0] * torch.tensor([1.0, -1.0, -1.0])
    eye = torch.tensor([info["position"][k] for k in "xyz"])
    seen = world - eye  # the camera is not turned: right, up, backwards
    focal = 32 / math.tan(math.radians(info["fov"]) / 2)
    pixels = torch.stack([32 + focal * seen[:, 0] / -seen[:, 2], 32 - focal * seen[:, 1] / -seen[:, 2]], 1)
    pose = renderer.pose(avatar.body.track.to_motion(), 2, 3)
    own = renderer.gaussians(pose)
    kept = own.opacities[0] >= 1 / 255
    want = own.means[0, kept] @ avatar.intrinsics_px.T
    assert (pixels - want[:, :2] / want[:, 2:]).abs().max() < 0.02
    assert (quaternion_to_matrix(splat.quats[0]) - quaternion_to_matrix(own.quats[0, kept])).abs().max() < 1e-5
    assert world[:, 1].max() > 0 and seen[:, 2].max() < 0, "upright, and in front of the camera"


def test_head_is_upright_and_looks_at_the_viewer(avatar: Avatar) -> None:
    """In the viewer the scalp is above the neck and the nose nearer than the back of the head."""
    renderer = AvatarRenderer(avatar)
    regions, layout = renderer.head.regions, viewpoint_layout(avatar)
    splat = viewpoint.avatar_splat(renderer, None, 0)
    assert splat.means.shape[1] == len(layout), "all Gaussians of this avatar are seen"
    world = splat.means[0] * torch.tensor([1.0, -1.0, -1.0])
    of = {name: world[layout == regions.names.index(name)].mean(0) for name in ("scalp", "neck", "nose")}
    assert of["scalp"][1] > of["nose"][1] > of["neck"][1]
    assert of["nose"][2] > of["scalp"][2] and of["nose"][2] > of["neck"][2]


def viewpoint_layout(avatar: Avatar) -> np.ndarray:
    from ggtalker_core.head import uv_layout

    return uv_layout(avatar.uv_size).region.numpy()


def test_frames_that_are_not_there_are_refused(avatar: Avatar) -> None:
    renderer = AvatarRenderer(avatar)
    with pytest.raises(InvalidInputError, match="loop has 6 frames.*got frame 6"):
        viewpoint.avatar_splat(renderer, None, 6)
    motion = dataclasses.replace(avatar.body.track.to_motion())
    with pytest.raises(InvalidInputError, match="motion has 6 frames"):
        viewpoint.avatar_splat(renderer, motion, 9)
