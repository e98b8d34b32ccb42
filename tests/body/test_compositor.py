"""The rendered head in the body loop, lazily."""

from __future__ import annotations

import dataclasses
import itertools
import tracemalloc
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
import torch

from ggtalker_core.body import BodyConfig, inpaint, inpaint_frames
from ggtalker_core.body.compositor import Compositor
from ggtalker_core.errors import InvalidInputError, UnreadableFileError
from ggtalker_core.gaussians.avatar_renderer import AvatarRenderer
from ggtalker_core.gaussians.synthetic import picture_frames, synthetic_avatar
from ggtalker_core.types import Avatar, MotionTrack, RgbaFrame, TalkingVideo


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    return synthetic_avatar(32, 6, (96, 96))


def _loop_motion(avatar: Avatar, frames: int) -> MotionTrack:
    """The mouth that the body loop itself has: the composite must give the loop back."""
    order = [avatar.body.frame_at(i, avatar.body.fps) for i in range(frames)]
    track = avatar.body.track
    return MotionTrack(track.expression[order], track.jaw_rad[order], avatar.body.fps)


def _psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(((a.astype(float) - b) ** 2).mean() / 255**2 + 1e-12))


@pytest.mark.parametrize("region", ["auto", "mouth", "face", "head"])
def test_the_loops_own_motion_gives_the_loop_back(avatar: Avatar, region: str):
    video = AvatarRenderer(avatar).video(_loop_motion(avatar, 9))
    originals = [image for image, _ in picture_frames(avatar, avatar.body.track)]
    for i, frame in enumerate(inpaint(avatar, video, BodyConfig(region=region)).frames()):
        assert frame.alpha is None
        assert _psnr(frame.rgb, originals[avatar.body.frame_at(i, avatar.body.fps)]) > 30  # JPEG is what is lost


def test_an_open_mouth_of_the_loop_is_closed_and_its_chin_is_gone(avatar: Avatar):
    """Loop frames with the jaw open, speech with lips closed: the result is the closed head, also under the chin."""
    track = avatar.body.track
    wide = dataclasses.replace(track, jaw_rad=torch.tensor([0.25, 0, 0]).repeat(track.count, 1))
    closed = dataclasses.replace(track, jaw_rad=torch.zeros(track.count, 3), expression=torch.zeros(track.count, 50))
    import cv2

    open_frames = [image for image, _ in picture_frames(avatar, wide)]
    encoded = tuple(cv2.imencode(".png", image[..., ::-1])[1].tobytes() for image in open_frames)
    with_open = dataclasses.replace(avatar, body=dataclasses.replace(avatar.body, frames_jpeg=encoded, track=wide))
    motion = MotionTrack(closed.expression, closed.jaw_rad, avatar.body.fps)
    wanted = [image for image, _ in picture_frames(avatar, closed)]
    made = [f.rgb for f in inpaint(with_open, AvatarRenderer(with_open).video(motion)).frames()]
    for got, want, was in zip(made, wanted, open_frames):
        changed = np.abs(want.astype(int) - was).max(-1) > 40  # where the open jaw differs from the closed one
        assert changed.sum() > 30
        assert (
            np.abs(got.astype(int) - want).max(-1)[changed].mean()
            < 0.35 * np.abs(was.astype(int) - want).max(-1)[changed].mean()
        )


def test_a_motion_with_its_own_pose_replaces_the_whole_head(avatar: Avatar):
    motion = _loop_motion(avatar, 2)
    shifted = avatar.body.track.translation_m[:2] + torch.tensor([0.03, 0.0, 0.0])
    motion = dataclasses.replace(motion, rotation_rad=avatar.body.track.rotation_rad[:2], translation_m=shifted)
    frame = next(inpaint(avatar, AvatarRenderer(avatar).video(motion)).frames())
    rendered = next(AvatarRenderer(avatar).frames(motion))
    assert rendered.alpha is not None
    top = slice(0, 50)  # hair and forehead, above the neck
    inside = rendered.alpha[top] > 250
    assert np.abs(frame.rgb[top][inside].astype(int) - rendered.rgb[top][inside]).mean() < 14
    left = np.zeros_like(inside)
    original = next(picture_frames(avatar, avatar.body.track.slice(0, 1)))[1][top]
    left[(original > 250) & (rendered.alpha[top] == 0)] = True
    if left.sum() > 5:  # where the old head was there is wall now
        assert frame.rgb[top][left].astype(float).std(0).max() < 25


def test_frames_are_made_when_pulled_and_in_any_order(avatar: Avatar):
    video = inpaint(avatar, AvatarRenderer(avatar).video(_loop_motion(avatar, 40)))
    late = [f.rgb for f in video.frames(20, 23)]
    early = list(itertools.islice(video.frames(18), 5))
    for a, b in zip(late, early[2:]):
        assert np.abs(a.astype(int) - b.rgb).max() <= 1
    assert video.count == 40


def test_memory_does_not_grow_with_length(avatar: Avatar):
    motion = _loop_motion(avatar, 60)
    video = inpaint(avatar, AvatarRenderer(avatar).video(motion))
    frames: Iterator[RgbaFrame] = video.frames()
    for _ in itertools.islice(frames, 20):
        pass
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in itertools.islice(frames, 32):
        pass
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 8 * 96 * 96 * 8  # less than a handful of frames


def test_plain_pictures_and_masks(avatar: Avatar):
    frames = [(f.rgb, f.alpha) for f in AvatarRenderer(avatar).frames(_loop_motion(avatar, 4))]
    made = list(inpaint_frames(avatar, frames, start=2))  # type: ignore[arg-type]
    assert len(made) == 4 and made[0].shape == (96, 96, 3)
    originals = [image for image, _ in picture_frames(avatar, avatar.body.track)]
    whole = list(inpaint_frames(avatar, frames))  # type: ignore[arg-type]
    assert _psnr(whole[0], originals[0]) > 28


def test_another_output_size(avatar: Avatar):
    renderer = AvatarRenderer(avatar)
    video = renderer.video(_loop_motion(avatar, 2), camera=renderer.camera((144, 144)))
    frame = next(inpaint(avatar, video).frames())
    assert frame.rgb.shape == (144, 144, 3)


def test_opaque_frames_pass_and_wrong_sizes_are_refused(avatar: Avatar):
    compositor = Compositor(avatar)
    opaque = RgbaFrame(np.zeros((96, 96, 3), np.uint8))
    assert compositor.frame(0, opaque) is opaque
    with pytest.raises(InvalidInputError, match="expected 96x96"):
        compositor.frame(0, RgbaFrame(np.zeros((20, 30, 3), np.uint8), np.zeros((20, 30), np.uint8)))
    with pytest.raises(InvalidInputError, match="region"):
        BodyConfig(region="feet")


def test_a_damaged_body_frame_is_told(avatar: Avatar):
    bad = dataclasses.replace(avatar.body, frames_jpeg=(b"no jpeg", *avatar.body.frames_jpeg[1:]))
    broken = dataclasses.replace(avatar, body=bad)
    source = AvatarRenderer(avatar).video(_loop_motion(avatar, 1))
    with pytest.raises(UnreadableFileError, match="body frame 0"):
        next(inpaint(broken, source).frames())


def test_the_result_is_still_a_talking_video(avatar: Avatar):
    video = AvatarRenderer(avatar).video(_loop_motion(avatar, 3))
    marked = dataclasses.replace(video, marks={"a": "b"})
    out = inpaint(avatar, marked)
    assert isinstance(out, TalkingVideo) and out.marks == {"a": "b"} and out.fps == Fraction(25)
    assert out.avatar is avatar and out.motion is video.motion
