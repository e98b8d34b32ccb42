"""Lips that touch in the picture touch in depth, and open ones are left alone."""

from __future__ import annotations

import dataclasses

import torch

from ggtalker_core.head import load_head
from ggtalker_core.tracking import TrackConfig
from ggtalker_core.tracking.face_model import face_model
from ggtalker_core.tracking.fit import Landmarks, fit_landmarks
from ggtalker_core.tracking.observations import observed_in
from ggtalker_core.tracking.solver import Motion
from ggtalker_core.tracking.topology import LIP_PAIRS
from ggtalker_core.tracking.touch import closeness, depth_apart, touch_equations

from .synthetic import moving_head

CONFIG = TrackConfig(habit=0.0, n_shape=20, keyframes=12, person_iterations=6, motion_iterations=4)


def closed_mouth(frames: int) -> Landmarks:
    """Landmarks of a turning head with closed lips and 0.4 % noise."""
    truth = moving_head(frames)
    still = face_model(load_head(), torch.arange(468)).personal(truth.shape)
    rest = Motion(truth.rotation, truth.translation_m, torch.zeros(frames, 3), torch.zeros(frames, 50))
    points = still.points(rest.expression, rest.jaw_rad) @ rest.rotation.mT + rest.translation_m[:, None]
    flat = truth.focal_px * points[..., :2] / points[..., 2:] + torch.tensor(truth.size_px) / 2
    shown = truth.landmarks_px.clone()
    noise = torch.randn(flat.shape, generator=torch.Generator().manual_seed(4))
    shown[:, :468] = flat + 0.004 * truth.iod_px * noise
    return Landmarks(shown, torch.ones(frames).bool(), torch.ones(frames - 1).bool(), truth.size_px)


def test_the_equations_have_the_gradient_of_the_cost() -> None:
    truth = moving_head(6)
    model = face_model(load_head(), torch.arange(468), dtype=torch.float64).personal(truth.shape.double())
    landmarks = Landmarks(truth.landmarks_px, torch.ones(6).bool(), torch.ones(5).bool(), truth.size_px)
    observed = observed_in(landmarks, torch.arange(468), dataclasses.replace(CONFIG, touch_width=50.0))
    observed = dataclasses.replace(observed, touch_weights=observed.touch_weights.double())
    motion = Motion(*(x.double() for x in (truth.rotation, truth.translation_m, truth.jaw_rad, truth.expression)))

    def cost(moved: Motion) -> torch.Tensor:
        return 0.5 * (observed.touch_weights * depth_apart(model, moved, observed.pairs).square()).sum(1)

    hessian, gradient = touch_equations(model, motion, observed)
    assert torch.linalg.eigvalsh(hessian).min() > -1e-6
    for column in (0, 1, 3, 8, 20):
        step = torch.zeros(6, 59, dtype=torch.float64)
        step[:, 6 + column] = 1e-5
        numeric = (cost(motion.stepped(step)) - cost(motion.stepped(-step))) / 2e-5
        assert torch.allclose(numeric, gradient[:, column], rtol=1e-4, atol=1e-4), column


def test_only_lips_that_meet_in_the_picture_count() -> None:
    landmarks = closed_mouth(8)
    apart = landmarks.points_px.clone()
    for upper, lower in LIP_PAIRS:
        apart[:4, lower, 1] = apart[:4, upper, 1] + 0.15 * landmarks.iod_px()
    weights = observed_in(dataclasses.replace(landmarks, points_px=apart), torch.arange(468), CONFIG).touch_weights
    assert weights[:4].max() < 1e-6 < 0.1 < weights[4:, : len(LIP_PAIRS)].mean()
    assert float(weights[:, len(LIP_PAIRS) :].max()) == 0  # lids
    assert float(closeness(torch.zeros(1), 2.0)) == 1


def test_closed_lips_lie_as_at_rest() -> None:
    landmarks = closed_mouth(24)
    pairs = torch.tensor(LIP_PAIRS)
    apart: list[float] = []
    for weight in (0.0, CONFIG.touch_weight):
        fitted = fit_landmarks(load_head(), landmarks, dataclasses.replace(CONFIG, touch_weight=weight))
        model = face_model(load_head(), torch.arange(468)).personal(fitted.person.shape, fitted.person.bias_m)
        apart.append(float(depth_apart(model, fitted.motion, pairs).square().mean().sqrt()))
    assert apart[1] < 0.5 * apart[0]
