"""Flicker, holes and seams against hand-made pictures."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from ggtalker_core.evaluate.config import EvaluateConfig
from ggtalker_core.evaluate.masks import head_mask
from ggtalker_core.evaluate.steadiness import Flicker, color_grain, open_share, seen_from
from ggtalker_core.gaussians.avatar_renderer import AvatarRenderer
from ggtalker_core.gaussians.drive import HeadPose
from ggtalker_core.gaussians.synthetic import synthetic_avatar, synthetic_track

HEAD = np.ones((20, 20), bool)


def _picture(value: float) -> np.ndarray:
    return np.full((20, 20, 3), value, np.uint8)


def test_flicker_is_the_ratio_of_second_differences_where_nothing_moves():
    flicker = Flicker()
    for i in range(12):
        points = np.zeros((478, 2), np.float32)
        if i >= 6:  # a wild stretch that must not count
            points += (i % 2) * 20
        wild = 100 if i >= 6 and i % 2 else 0
        flicker.add(i, _picture(100 + 2 * (i % 2)), _picture(100 + 6 * (i % 2) + wild), HEAD, points)
    assert flicker.ratio() == pytest.approx(3.0)


def test_flicker_needs_three_neighbours():
    flicker = Flicker()
    points = np.zeros((478, 2), np.float32)
    for i in (0, 1, 5, 6, 9):
        flicker.add(i, _picture(i), _picture(2 * i), HEAD, points)
    assert flicker.ratio() is None


def test_holes_count_and_a_soft_rim_does_not():
    alpha = np.zeros((256, 256), np.float32)
    alpha[40:200, 60:180] = 1.0
    alpha[40, 60:180] = 0.6
    assert open_share(alpha) == 0.0
    alpha[100:120, 100:130] = 0.3
    inner = (160 - 3) * (120 - 3)
    assert open_share(alpha) == pytest.approx(600 / inner, rel=0.03)
    assert open_share(np.zeros((8, 8), np.float32)) == 1.0


def test_specks_of_colour_count_and_shades_and_the_rim_do_not():
    """A checkerboard of pink and green on grey: half of the pixels each way, so the mean is what each is off by."""
    inside = np.zeros((512, 512), bool)
    inside[100:400, 100:400] = True
    odd = (np.indices((512, 512)).sum(0) % 2).astype(np.float32)[..., None] * 2 - 1
    hue = np.array([0.1, -0.1 * 0.299 / 0.587, 0.0], np.float32)  # no brightness
    speckled = 0.5 + odd * hue
    assert color_grain(speckled, inside) == pytest.approx(float(np.abs(hue * 255).mean()), rel=1e-3)
    assert color_grain(np.broadcast_to(0.5 + 0.2 * odd, (512, 512, 3)), inside) < 1e-2
    at_the_rim = np.where(
        np.pad(np.zeros((280, 280, 1), bool), ((110, 122), (110, 122), (0, 0)), constant_values=True), speckled, 0.5
    )
    assert color_grain(at_the_rim, inside) < 1e-2
    assert color_grain(speckled, np.zeros((512, 512), bool)) == 0.0


def test_the_camera_goes_round_the_head():
    """A rendering from 30 degrees is that of a head turned by as much the other way."""
    renderer = AvatarRenderer(synthetic_avatar(32, 2, (64, 64)))
    track = synthetic_track(2, (64, 64))
    pose = HeadPose.of_track(track, 0, 1)
    straight = seen_from(renderer, pose, 0.0)
    frame = next(renderer.frames(track.to_motion()))
    assert np.abs(straight[0] * 255 - frame.rgb).max() <= 1.01
    left, right = (seen_from(renderer, pose, a)[1] for a in (-30.0, 30.0))
    assert left.sum() > 100 and np.abs(left - right).mean() > 1e-3
    columns = np.arange(64)
    middle = [(a.sum(0) * columns).sum() / a.sum() for a in (left, right)]
    assert all(abs(m - 32) < 12 for m in middle)  # it stays in the picture
    assert isinstance(dataclasses.replace(pose), HeadPose) and torch.isfinite(pose.rotation_rad).all()


def test_the_seam_lies_on_both_sides_of_the_border():
    matte = np.zeros((512, 512), np.uint8)
    matte[100:400, 150:350] = 255
    mask = head_mask(matte, np.full((512, 512), 255, np.uint8), np.full((478, 2), 250, np.float32), EvaluateConfig())
    assert mask.seam[250, 150 - 6 - 7 : 150 - 6 + 7].all()
    assert not mask.seam[250, 170:330].any() and not mask.seam[250, :125].any()
