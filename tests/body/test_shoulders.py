"""Shoulders that reach the chin are told from the head and from hair that hangs beside it."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import torch

from ggtalker_core.body import inpaint
from ggtalker_core.body.shoulders import head_alone, head_sides, without_shoulders
from ggtalker_core.gaussians.avatar_renderer import AvatarRenderer
from ggtalker_core.gaussians.synthetic import picture_frames, synthetic_avatar
from ggtalker_core.types import MotionTrack

_SIZE = 200
_MIDDLE, _CHIN = 100, 120


def _face(shift_px: float = 0.0) -> np.ndarray:
    """478 landmarks: an oval of 60 x 80 px, chin at row 120, mouth from row 88 to 104."""
    angle = np.linspace(0, 2 * np.pi, 478, endpoint=False)
    points = np.stack([_MIDDLE + shift_px + 30 * np.sin(angle), 80 - 40 * np.cos(angle)], axis=1).astype(np.float32)
    points[2], points[17] = (_MIDDLE + shift_px, 88), (_MIDDLE + shift_px, 104)
    return points


def _head() -> np.ndarray:
    """The head and its neck, without shoulders."""
    out = np.zeros((_SIZE, _SIZE), np.uint8)
    cv2.ellipse(out, (_MIDDLE, 80), (32, 46), 0, 0, 360, 255, cv2.FILLED)
    out[_CHIN - 10 :, _MIDDLE - 20 : _MIDDLE + 20] = 255
    return out


def _shoulders(top: int) -> np.ndarray:
    out = np.zeros((_SIZE, _SIZE), np.uint8)
    out[top:, 10:190] = 255
    return out


@pytest.mark.parametrize("top", [112, 125, 150])
def test_shoulders_as_high_as_the_chin_go_and_the_head_stays(top: int):
    matte = np.maximum(_head(), _shoulders(top))
    cut = without_shoulders(matte, _face())
    assert np.array_equal(cut[_head() > 0], matte[_head() > 0])
    beside = np.abs(np.arange(_SIZE) - _MIDDLE) > 62
    assert not cut[top:, beside].any()
    assert np.array_equal(cut[:100], matte[:100])


def test_hair_that_hangs_beside_the_mouth_and_outwards_stays():
    hair = np.zeros((_SIZE, _SIZE), np.uint8)
    cv2.fillConvexPoly(hair, np.array([(60, 50), (140, 50), (175, 160), (25, 160)], np.int32), 255)
    matte = np.maximum(_head(), hair)
    assert np.array_equal(without_shoulders(matte, _face()), matte)


def test_one_side_may_have_hair_and_the_other_not():
    hair = np.zeros((_SIZE, _SIZE), np.uint8)
    hair[40:170, 45:100] = 255
    matte = np.maximum(np.maximum(_head(), hair), _shoulders(115))
    cut = without_shoulders(matte, _face())
    assert (cut[40:170, 45:100] == 255).all() and not cut[:170, 165:].any()


@pytest.mark.parametrize("case", ["a hand across the mouth", "no matte", "face out of the picture", "one point"])
def test_where_nothing_can_be_told_nothing_is_cut(case: str):
    matte, points = np.maximum(_head(), _shoulders(115)), _face()
    if case == "a hand across the mouth":
        matte[80:110] = 255
    elif case == "no matte":
        matte[80:110] = 0
    elif case == "one point":
        points = np.full((478, 2), 100, np.float32)
    else:
        points = _face(-400)
    assert np.array_equal(without_shoulders(matte, points), matte)


def test_a_head_that_fills_the_picture_keeps_its_own():
    matte = np.full((60, 60), 255, np.uint8)
    points = (_face() - np.array([_MIDDLE - 30, 50])).astype(np.float32)
    assert np.array_equal(without_shoulders(matte, points)[:, 2:-2], matte[:, 2:-2])


def test_places_beyond_the_lines_are_known_by_their_distance():
    sides = head_sides(np.maximum(_head(), _shoulders(112)), _face())
    x, y = np.array([100.0, 190.0, 190.0]), np.array([150.0, 150.0, 60.0])
    inside, outside, above = sides.outside(x, y)
    assert inside < -30 and outside > 20 and above < 0


def test_a_collar_beside_the_neck_is_not_the_heads_but_hair_is():
    hair = np.zeros((_SIZE, _SIZE), np.uint8)
    hair[40:170, 45:100] = 255
    neck = np.array([(82, 100), (118, 100), (118, 199), (82, 199)], np.float32)
    head, matte = _head(), np.maximum(_head(), _shoulders(115))
    alone = head_alone(without_shoulders(matte, _face()), head_sides(matte, _face()), (neck, _face()[:468]), 3.0)
    assert (alone[: _CHIN - 16] == matte[: _CHIN - 16]).all() and (alone[:, 85:115] == head[:, 85:115]).all()
    assert not alone[125:190, 123:].any() and not alone[125:190, :77].any()
    matte = np.maximum(matte, hair)
    both = head_alone(matte, head_sides(matte, _face()), (neck, _face()[:468]), 3.0)
    assert (both[40:170, 45:80] == 255).all() and not both[125:190, 123:].any()


def test_a_body_whose_head_is_turned_keeps_its_shoulders():
    """Without the cut they are taken for the old head, and the background is shown in their place."""
    avatar = synthetic_avatar(32, 3, (96, 96))
    track = avatar.body.track
    frames, mattes = [], []
    for k, (image, matte) in enumerate(picture_frames(avatar, track)):
        points = track.landmarks_px[k].numpy()
        top, middle = round(float(points[17, 1])) + 2, float(points[2, 0])
        half = 0.5 * float(np.ptp(points[:468, 0]))
        far = np.abs(np.arange(96) - middle) > 1.4 * half + 6
        image[top:, far], matte[top:, far] = (200, 30, 30), 255
        frames.append(cv2.imencode(".png", image[..., ::-1])[1].tobytes())
        mattes.append(cv2.imencode(".png", matte)[1].tobytes())
    body = dataclasses.replace(avatar.body, frames_jpeg=tuple(frames), mattes_png=tuple(mattes))
    avatar = dataclasses.replace(avatar, body=body)
    turned = track.translation_m[:2] + torch.tensor([0.004, 0.0, 0.0])
    motion = MotionTrack(
        track.expression[:2], track.jaw_rad[:2], body.fps, rotation_rad=track.rotation_rad[:2], translation_m=turned
    )
    for made in inpaint(avatar, AvatarRenderer(avatar).video(motion)).frames():
        assert (made.rgb[-20:, [2, 93]] == (200, 30, 30)).all()
