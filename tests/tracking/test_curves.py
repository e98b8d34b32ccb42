"""The curves of a track with a known motion."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from ggtalker_core.gaussians.synthetic import synthetic_avatar
from ggtalker_core.head import load_head
from ggtalker_core.head.pose import axis_angle_to_matrix, matrix_to_axis_angle
from ggtalker_core.tracking import curves_of, curves_picture
from ggtalker_core.types import Track


def made() -> Track:
    """30 frames: yaw from 0 to 0.3 rad, the jaw open in frame 10, a blink in frame 20, no face in frame 25."""
    arkit = load_head().arkit
    weights = torch.zeros(30, 52)
    weights[10, arkit.index("jawOpen")] = 0.5
    for side in ("Left", "Right"):
        weights[20, arkit.index("eyeBlink" + side)] = 1.0
    expression, jaw = arkit.from_weights(weights)
    yaw = torch.linspace(0, 0.3, 30)
    front = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    turn = axis_angle_to_matrix(torch.stack([0 * yaw, yaw, 0 * yaw], 1))
    track = synthetic_avatar(32, 30, (96, 96)).body.track
    valid = torch.ones(30, dtype=torch.bool)
    valid[25] = False
    landmarks = torch.zeros(30, 478, 2)
    landmarks[:, 263, 0] = 50.0
    return dataclasses.replace(
        track, expression=expression, jaw_rad=jaw, eyes_rad=torch.zeros(30, 6), neck_rad=torch.zeros(30, 3),
        rotation_rad=matrix_to_axis_angle(front @ turn), translation_m=torch.zeros(30, 3), valid=valid,
        error_px=torch.full((30,), 0.5), landmarks_px=landmarks,
    )  # fmt: skip


def test_each_curve_shows_what_happened():
    curves = curves_of(made())
    assert torch.allclose(curves.error[curves.valid], torch.tensor(1.0)) and bool(curves.error[25].isnan())
    assert int(curves.jaw.argmax()) == 10 and abs(float(curves.jaw[10]) - 0.5 * 16.6) < 0.5
    assert int(curves.blink.argmax()) == 20 and float(curves.blink[20]) > 0.8 and float(curves.blink[5]) < 0.2
    assert abs(float(curves.yaw[-1] - curves.yaw[0]) - np.rad2deg(0.3)) < 0.1


def test_the_picture_shows_four_curves_and_the_lost_frame():
    page = curves_picture(curves_of(made()), (600, 300))
    assert page.shape == (300, 600, 3)
    colors = {tuple(c) for c in page.reshape(-1, 3).tolist()}
    for wanted in ((255, 110, 110), (240, 170, 70), (90, 190, 255), (130, 220, 130), (70, 34, 34)):
        assert wanted in colors
    x = round(25 / 29 * 599)
    assert (70, 34, 34) in {tuple(c) for c in page[:280, x].tolist()}


def test_a_single_frame_and_no_face_at_all():
    one = made().slice(0, 1)
    assert curves_picture(curves_of(one)).shape == (420, 960, 3)
    none = dataclasses.replace(made(), valid=torch.zeros(30, dtype=torch.bool))
    assert bool(curves_of(none).error.isnan().all()) and curves_picture(curves_of(none)).any()
