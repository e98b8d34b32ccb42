"""Frames seldom seen are visited more often."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from ggtalker_core.adapt.sampling import frame_weights, visiting_order
from ggtalker_core.gaussians.synthetic import synthetic_track

ALL = tuple(range(60))


@pytest.fixture(scope="module")
def calm():
    """A face that hardly moves, but for one frame with a wide mouth and three that look aside."""
    track = synthetic_track(60, (64, 64), sway=0.05)
    landmarks = track.landmarks_px[:1].repeat(60, 1, 1)
    landmarks += 0.02 * torch.randn(landmarks.shape, generator=torch.Generator().manual_seed(0))
    moved = landmarks.clone()
    moved[30, [17, 14, 87, 317], 1] += 6.0
    turn = track.rotation_rad.clone()
    turn[[5, 6, 40], 2] += 0.4
    return dataclasses.replace(track, landmarks_px=moved, rotation_rad=turn)


def test_rare_mouths_and_poses_weigh_more(calm):
    weights = frame_weights(calm, ALL, 0.5)
    usual = np.delete(weights, [5, 6, 30, 40])
    assert weights.mean() == pytest.approx(1.0)
    assert min(weights[[5, 6, 30, 40]]) > 1.5 * np.median(usual)
    assert weights.max() / weights.min() <= 4.0 + 1e-6


def test_without_power_or_with_few_frames_all_are_alike(calm):
    assert (frame_weights(calm, ALL, 0.0) == 1).all()
    assert (frame_weights(calm, ALL[:5], 0.5) == 1).all()


def test_a_face_that_moves_aside_or_tilts_in_the_picture_is_no_other_mouth():
    """Place, size and turn in the picture do not count for the mouth."""
    track = synthetic_track(40, (64, 64), sway=1.0)
    points = track.landmarks_px
    angle = torch.tensor(0.3)
    turn = torch.tensor([[angle.cos(), -angle.sin()], [angle.sin(), angle.cos()]])
    other = dataclasses.replace(track, landmarks_px=1.7 * points @ turn.T + 20)
    ours, theirs = (frame_weights(t, tuple(range(40)), 0.5) for t in (track, other))
    assert np.allclose(ours, theirs, atol=1e-3)


def test_visits_follow_the_weights():
    weights = np.array([0.5, 1.0, 2.0, 0.75, 0.75])
    random = np.random.default_rng(0)
    counts = np.zeros(5)
    for _ in range(400):
        order = visiting_order(weights, random)
        one = np.bincount(order, minlength=5)
        assert ((one >= np.floor(weights)) & (one <= np.ceil(weights))).all()
        counts += one
    assert np.allclose(counts / 400, weights, atol=0.08)
    assert sorted(visiting_order(np.ones(7), random)) == list(range(7))
