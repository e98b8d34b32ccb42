"""Avatar and motion become frames."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
import torch

from ggtalker_core.errors import InvalidInputError
from ggtalker_core.gaussians import color_mlp
from ggtalker_core.gaussians.avatar_renderer import AvatarRenderer, Box, cropped, head_box, scaled_camera
from ggtalker_core.gaussians.color_mlp import N_CONDITION, color_residual, condition_of, fold, new_color_mlp
from ggtalker_core.gaussians.config import RenderConfig
from ggtalker_core.gaussians.drive import resolve_pose, same_branch
from ggtalker_core.gaussians.synthetic import synthetic_avatar, synthetic_track
from ggtalker_core.head import load_head, uv_layout
from ggtalker_core.render import render
from ggtalker_core.types import Avatar, BodyLoop, MotionTrack


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    return synthetic_avatar(32, 6, (64, 64))


def _speech(frames: int, fps: Fraction = Fraction(25)) -> MotionTrack:
    jaw = torch.zeros(frames, 3)
    jaw[:, 0] = torch.linspace(0, 0.2, frames)
    return MotionTrack(torch.zeros(frames, 50), jaw, fps)


def test_frames_come_full_size_with_the_head_inside(avatar: Avatar):
    frames = list(AvatarRenderer(avatar).frames(_speech(3)))
    assert len(frames) == 3
    for frame in frames:
        assert frame.rgb.shape == (64, 64, 3) and frame.alpha is not None and frame.alpha.shape == (64, 64)
        assert 0.1 < (frame.alpha > 127).mean() < 0.7
        assert (frame.rgb[frame.alpha == 0] == 0).all()  # premultiplied


def test_box_rendering_equals_rendering_the_whole_picture(avatar: Avatar):
    renderer = AvatarRenderer(avatar)
    motion = _speech(1)
    frame = next(renderer.frames(motion))
    whole = render(renderer.gaussians(renderer.pose(motion, 0, 1)), renderer.camera(), antialiased=True)
    direct = (whole.rgb[0].clamp(0, 1) * 255).round().numpy()
    assert np.abs(direct - frame.rgb).max() <= 1


def test_the_box_holds_hair_that_stands_far_out():
    """Gaussians larger than the margin and far from the mesh are not cut off."""
    avatar = synthetic_avatar(16, 2, (96, 96))
    wild = avatar.gaussian_map.clone()
    layout = uv_layout(16)
    row, col = layout.row_col[5].tolist()  # one texel of the crown
    wild[3:6, row, col] = -3.4  # 33 mm
    wild[1, row, col] = 0.03
    renderer = AvatarRenderer(dataclasses.replace(avatar, gaussian_map=wild))
    frame = next(renderer.frames(_speech(1)))
    whole = render(renderer.gaussians(renderer.pose(_speech(1), 0, 1)), renderer.camera(), antialiased=True)
    assert np.abs((whole.rgb[0].clamp(0, 1) * 255).round().numpy() - frame.rgb).max() <= 1


def test_any_range_and_chunk_size_give_the_same_frames(avatar: Avatar):
    motion = _speech(7)
    all_at_once = list(AvatarRenderer(avatar, config=RenderConfig(chunk=7)).frames(motion))
    one_by_one = list(AvatarRenderer(avatar, config=RenderConfig(chunk=1)).frames(motion, 2, 6))
    for a, b in zip(all_at_once[2:6], one_by_one):
        assert np.abs(a.rgb.astype(int) - b.rgb).max() <= 1


def test_nothing_is_rendered_before_it_is_asked_for(avatar: Avatar, monkeypatch: pytest.MonkeyPatch):
    renderer = AvatarRenderer(avatar)
    asked: list[int] = []
    monkeypatch.setattr(renderer, "render_pose", lambda *a, **k: asked.append(1))
    video = renderer.video(_speech(2000))
    assert video.count == 2000 and video.avatar is avatar and not asked


def test_speech_takes_brows_gaze_and_pose_from_the_loop_and_the_mouth_from_the_motion(avatar: Avatar):
    arkit = load_head().arkit
    assert arkit is not None
    motion = _speech(14)
    pose = resolve_pose(avatar, motion, 0, 14, arkit)
    order = [avatar.body.frame_at(i, motion.fps) for i in range(14)]
    assert order == [0, 1, 2, 3, 4, 5, 4, 3, 2, 1, 0, 1, 2, 3]  # there and back
    loop = avatar.body.track
    assert torch.equal(pose.rotation_rad, loop.rotation_rad[order])
    assert torch.equal(pose.jaw_rad, motion.jaw_rad)
    weights = arkit.to_weights(pose.expression, pose.jaw_rad)
    wanted = arkit.to_weights(loop.expression[order], loop.jaw_rad[order])
    assert torch.allclose(weights[:, arkit.upper], wanted[:, arkit.upper], atol=1e-4)
    mouth = arkit.mouth.clone()
    mouth[49:] = False  # the jaw is not in the expression
    assert weights[:, mouth].abs().max() < 1e-4  # the motion's mouth is at rest


def test_a_reenactment_brings_everything_itself(avatar: Avatar):
    driver = synthetic_track(5, (64, 64), sway=2.0)
    pose = resolve_pose(avatar, driver.to_motion(), 1, 4, load_head().arkit)
    assert torch.equal(pose.expression, driver.expression[1:4])
    assert torch.equal(pose.rotation_rad, driver.rotation_rad[1:4])


def test_axis_angles_are_put_on_one_branch():
    from ggtalker_core.head.pose import axis_angle_to_matrix

    near_pi = torch.tensor([[3.1, 0.02, 0.1], [-3.12, 0.05, -0.1], [3.14, 0.0, 0.0], [0.1, 0.2, 0.3], [-0.2, 0.1, 0.0]])
    same = same_branch(near_pi)
    assert torch.allclose(axis_angle_to_matrix(same), axis_angle_to_matrix(near_pi), atol=1e-5)
    assert (same[:3, 0] > 3).all() and torch.equal(same[3:], near_pi[3:])


def test_given_eyelids_close_the_lids(avatar: Avatar):
    arkit = load_head().arkit
    assert arkit is not None
    motion = dataclasses.replace(_speech(2), eyelids=torch.tensor([[0.0, 1.0], [0.5, 0.25]]))
    weights = arkit.to_weights(resolve_pose(avatar, motion, 0, 2, arkit).expression, motion.jaw_rad)
    got = weights[:, [arkit.index("eyeBlinkLeft"), arkit.index("eyeBlinkRight")]]
    assert torch.allclose(got, motion.eyelids, atol=1e-4)  # type: ignore[arg-type]


def test_loop_keeps_time_at_another_frame_rate(avatar: Avatar):
    assert [avatar.body.frame_at(i, Fraction(50)) for i in range(6)] == [0, 0, 1, 1, 2, 2]
    single = dataclasses.replace(avatar.body.track).slice(0, 1)
    loop = BodyLoop(avatar.body.frames_jpeg[:1], avatar.body.mattes_png[:1], None, single, Fraction(25))
    assert [loop.frame_at(i, Fraction(25)) for i in (0, 1, 7)] == [0, 0, 0]


def test_camera_of_another_size_and_a_path(avatar: Avatar):
    renderer = AvatarRenderer(avatar)
    double = next(renderer.frames(_speech(1), camera=renderer.camera((128, 128))))
    assert double.rgb.shape == (128, 128, 3)
    small = next(renderer.frames(_speech(1)))
    assert double.alpha is not None and small.alpha is not None
    assert (double.alpha > 127).mean() == pytest.approx((small.alpha > 127).mean(), abs=0.03)
    path = renderer.camera()
    path = dataclasses.replace(path, viewmat=torch.eye(4).repeat(3, 1, 1))
    path.viewmat[1, 0, 3] = 0.05
    frames = list(renderer.frames(_speech(3), camera=path))
    columns = [np.flatnonzero((f.alpha > 127).any(0)).mean() for f in frames]  # type: ignore[operator]
    assert columns[1] > columns[0] + 3
    with pytest.raises(InvalidInputError, match="camera path"):
        renderer.video(_speech(5), camera=path)


def test_a_head_far_outside_the_picture_gives_an_empty_frame(avatar: Avatar):
    motion = dataclasses.replace(_speech(1), translation_m=torch.tensor([[9.0, 0.0, 0.7]]))
    frame = next(AvatarRenderer(avatar).frames(motion))
    assert frame.alpha is not None and frame.alpha.max() == 0


def test_boxes_crop_the_camera():
    camera = scaled_camera(torch.tensor([[100.0, 0, 32], [0, 100.0, 32], [0, 0, 1]]), (64, 64), (64, 64))
    part = cropped(camera, Box(10, 20, 30, 50))
    assert (part.width, part.height) == (20, 30)
    assert part.intrinsics_px[0, 0, 2] == 22 and part.intrinsics_px[0, 1, 2] == 12
    point = torch.tensor([[[0.0, 0.0, 1.0]]])
    box = head_box(point, camera, 4)
    assert (box.x0, box.y0, box.x1, box.y1) == (28, 28, 36, 36)


def test_works_on_an_avatar_made_in_inference_mode():
    with torch.inference_mode():
        avatar = synthetic_avatar(16, 2, (32, 32))
        inside = next(AvatarRenderer(avatar).frames(_speech(1)))
    outside = next(AvatarRenderer(avatar).frames(_speech(1)))
    assert np.array_equal(inside.rgb, outside.rgb)


def test_color_network_starts_near_zero_and_is_read_by_the_renderer(avatar: Avatar):
    n = uv_layout(32).count
    track = avatar.body.track
    condition = condition_of(track.expression, track.jaw_rad, track.rotation_rad)
    assert condition.shape == (6, N_CONDITION)
    mlp = new_color_mlp(n, condition)
    residual = color_residual(mlp, condition)
    assert residual.shape == (6, n, 3) and residual.abs().max() < 0.1
    loud = mlp | {"b3": torch.tensor([0.5, -0.5, 0.0])}
    plain = next(AvatarRenderer(avatar).frames(_speech(1)))
    tinted = next(AvatarRenderer(dataclasses.replace(avatar, color_mlp=loud)).frames(_speech(1)))
    solid = plain.alpha > 250  # type: ignore[operator]
    shift = tinted.rgb[solid].astype(float).mean(0) - plain.rgb[solid].mean(0)
    assert shift[0] > 20 and shift[1] < -20 and abs(shift[2]) < 10


def test_the_part_of_the_color_network_that_stays_is_computed_once(avatar: Avatar, monkeypatch: pytest.MonkeyPatch):
    track = avatar.body.track
    condition = condition_of(track.expression, track.jaw_rad, track.rotation_rad)
    mlp = new_color_mlp(uv_layout(32).count, condition) | {"b1": torch.randn(64), "w3": torch.randn(64, 3)}
    assert torch.equal(color_residual(mlp, condition, fold(mlp)), color_residual(mlp, condition))
    renderer = AvatarRenderer(dataclasses.replace(avatar, color_mlp=mlp))
    monkeypatch.setattr(color_mlp, "fold", lambda _: pytest.fail("folded again"))
    assert len(renderer.render(_speech(9), 0, 9)) == 9
