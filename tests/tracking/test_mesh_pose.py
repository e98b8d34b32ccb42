"""The rotation that the mesh's depth gives is read right, weighed right, and freed of what it adds for one person."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch

from ggtalker_core.head import load_head
from ggtalker_core.head.pose import axis_angle_to_matrix, matrix_to_axis_angle
from ggtalker_core.tracking import TrackConfig
from ggtalker_core.tracking.crops import Square
from ggtalker_core.tracking.fit import Fitted, Landmarks, fit_landmarks
from ggtalker_core.tracking.mesh_pose import (
    DEPTH_GAIN,
    MeshPose,
    firm_part,
    mesh_rotation,
    turn_equations,
    turned_further,
)
from ggtalker_core.tracking.solver import Motion
from ggtalker_core.tracking.views import View, mirror_order

from .synthetic import Truth, moving_head

CONFIG = TrackConfig(habit=0.0, n_shape=20, keyframes=12, person_iterations=6, motion_iterations=4)
FRONTAL = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
HABIT = torch.tensor([0.05, -0.02, 0.0])


def _turns(*degrees: tuple[float, float, float]) -> torch.Tensor:
    return FRONTAL @ axis_angle_to_matrix(torch.tensor(degrees).deg2rad())


def _motion(rotation: torch.Tensor) -> Motion:
    n = len(rotation)
    return Motion(rotation, torch.zeros(n, 3), torch.zeros(n, 3), torch.zeros(n, 50))


def test_a_turned_face_gives_its_rotation_whatever_the_other_landmarks_do() -> None:
    index, firm = firm_part()
    assert len(index) > 150 and not {13, 14, 152, 159} & set(index.tolist())  # lips, chin, lids
    random = np.random.default_rng(0)
    for true in _turns((0, 0, 0), (12, -25, 8), (-15, 35, 20)):
        points = random.normal(size=(478, 3)) * 100
        points[index] = 2100 * firm @ true.double().numpy().T + [310, 220, 40]
        found = mesh_rotation(points[:, :2], points[:, 2] / DEPTH_GAIN)
        assert np.abs(found - true.numpy()).max() < 1e-5


def test_depth_of_a_crop_comes_back_in_the_frame_s_pixels_and_order() -> None:
    points = np.random.default_rng(1).normal(size=(478, 3))
    square = Square(100, 100, 384)
    assert np.allclose(View(1.5).depth(points, square), points[:, 2] * 3)
    assert np.allclose(
        View(mirrored=True).depth(points, square)[mirror_order()], points[mirror_order()][mirror_order(), 2] * 2
    )


def test_one_step_arrives_and_the_gradient_is_that_of_the_cost() -> None:
    now = _motion(_turns((4, 10, -3), (-6, 2, 1)))
    target = now.rotation @ axis_angle_to_matrix(torch.tensor([[0.02, -0.01, 0.015], [-0.01, 0.03, 0.0]]) + HABIT)
    mesh = MeshPose(target, torch.tensor([3.0, 5.0]), HABIT)
    hessian, gradient = turn_equations(now, mesh)
    step = torch.zeros(2, 59)
    step[:, :3] = torch.linalg.solve(hessian, -gradient)
    left = turned_further(now.stepped(step), target) - HABIT
    assert float(left.abs().max()) < 1e-3  # of .02: turns do not quite add
    by_hand = torch.zeros(2, 3)
    for k in range(3):
        for sign in (1, -1):
            moved = torch.zeros(2, 59)
            moved[:, k] = sign * 1e-3
            apart = turned_further(now.stepped(moved), target) - HABIT
            by_hand[:, k] += sign * hessian[:, 0, 0] * apart.square().sum(1) / 2 / 2e-3
    assert torch.allclose(gradient, by_hand, atol=0.05 * float(by_hand.abs().max()))


def test_a_mesh_gone_astray_counts_little() -> None:
    now = _motion(_turns((0, 0, 0), (0, 0, 0)))
    far = MeshPose(_turns((1, 0, 0), (40, 0, 0)), torch.ones(2), torch.zeros(3))
    weights = turn_equations(now, far)[0][:, 0, 0]
    assert weights[0] > 0.9 and weights[1] < 0.02


def _seen(truth: Truth, habit: torch.Tensor) -> Landmarks:
    count = len(truth.jaw_rad)
    rotation = truth.rotation @ axis_angle_to_matrix(habit.expand(count, 3))
    return Landmarks(
        truth.landmarks_px, torch.ones(count).bool(), torch.ones(count - 1).bool(), truth.size_px,
        mesh_rotation=rotation,
    )  # fmt: skip


def _errors(fitted: Fitted, truth: Truth) -> torch.Tensor:
    """By how much each frame's rotation is off, degrees [T], less what is the same in all of them."""
    off = matrix_to_axis_angle(fitted.motion.rotation.mT @ truth.rotation)
    return (off - off.mean(0)).norm(dim=1).rad2deg()


def test_noisy_landmarks_and_a_mesh_with_a_habit_are_better_together() -> None:
    truth, head = moving_head(40, noise_iod=0.05), load_head()
    seen = _seen(truth, HABIT)
    together = fit_landmarks(head, seen, CONFIG)
    alone = fit_landmarks(head, seen, dataclasses.replace(CONFIG, mesh_turn=0.0))
    assert float(_errors(together, truth).mean()) < 0.75 * float(_errors(alone, truth).mean())
    turn = together.person.mesh_turn_rad
    assert turn is not None
    # The habit is told apart from the turns, up to what the noise lets the landmarks be off by throughout.
    off = matrix_to_axis_angle(alone.motion.rotation.mT @ truth.rotation).mean(0)
    assert float((turn - off - HABIT).abs().max()) < math.radians(0.7)
    again = fit_landmarks(head, seen, CONFIG, start=together)
    assert again.person.mesh_turn_rad is turn


def test_given_landmarks_are_fitted_as_before() -> None:
    truth, head = moving_head(12, noise_iod=0.01), load_head()
    plain = dataclasses.replace(_seen(truth, HABIT), mesh_rotation=None)
    a = fit_landmarks(head, plain, CONFIG)
    b = fit_landmarks(head, plain, dataclasses.replace(CONFIG, mesh_turn=0.0))
    assert a.person.mesh_turn_rad is None and torch.allclose(a.motion.rotation, b.motion.rotation, atol=1e-4)
