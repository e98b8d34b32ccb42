"""What the person's fit brings down falls along its steps, and a focal length at its bound is not believed at once."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from ggtalker_core.head import load_head
from ggtalker_core.tracking import TrackConfig, identity_fit
from ggtalker_core.tracking.face_model import face_model
from ggtalker_core.tracking.fit import Landmarks
from ggtalker_core.tracking.identity_fit import Person, SharedPriors, fit_person
from ggtalker_core.tracking.observations import observed_in, priors_of
from ggtalker_core.tracking.solver import Motion
from ggtalker_core.tracking.start import first_motion

from .synthetic import moving_head

CONFIG = dataclasses.replace(TrackConfig.tiny(), n_shape=8)
COUNT = 6


def beginning(guess: float):
    """Model, first motion, what was seen, a person at rest, the priors of frames and person."""
    truth = moving_head(COUNT, noise_iod=0.003)
    landmarks = Landmarks(
        truth.landmarks_px, torch.ones(COUNT, dtype=torch.bool), torch.zeros(COUNT - 1, dtype=torch.bool), truth.size_px
    )
    model = face_model(load_head(), torch.arange(468))
    seen = observed_in(landmarks, torch.arange(468), CONFIG)
    motion = first_motion(model.mean_m.sum(0), seen.points_px, guess)
    person = Person(torch.zeros(8), guess, torch.zeros(468, 3))
    shared = SharedPriors(CONFIG.shape_prior, CONFIG.focal_prior, torch.full((468,), CONFIG.bias_prior))
    return model, motion, seen, person, priors_of(CONFIG), shared


def test_the_cost_is_what_the_steps_bring_down() -> None:
    model, motion, seen, person, priors, shared = beginning(900.0)

    def cost(share: float) -> float:
        step, own = identity_fit._shared_step(model, motion, seen, person, priors, shared, 900.0)
        moved = Person(share * step[:-1], 900.0 * float((share * step[-1]).exp()), person.bias_m)
        return identity_fit._cost(model, motion.stepped(share * own), seen, moved, priors, shared, 900.0)

    values = [cost(share) for share in (-0.1, 0.0, 0.1, 1.0)]
    assert values[0] > values[1] > values[2] > values[3]


def test_the_cost_has_the_gradient_of_the_steps() -> None:
    model, motion, seen, _, priors, shared = beginning(900.0)
    bias = 1e-4 * torch.randn(468, 3, generator=torch.Generator().manual_seed(0))
    shape = torch.linspace(-0.5, 0.5, 8)
    person = Person(shape, 990.0, bias)
    _, _, data = identity_fit._common(model.personal(shape, bias), motion, seen, person, priors)
    values = torch.cat([shape, torch.tensor([990.0 / 900.0]).log()])
    strength = torch.tensor([shared.shape] * 8 + [shared.focal])
    gradient = data + COUNT * strength * values

    def cost(change: torch.Tensor) -> float:
        moved = Person(shape + change[:-1], 990.0 * float(change[-1].exp()), bias)
        return identity_fit._cost(model, motion, seen, moved, priors, shared, 900.0)

    for k in range(9):
        change = torch.zeros(9)
        change[k] = 0.02
        slope = (cost(change) - cost(-change)) / 0.04
        assert slope == pytest.approx(float(gradient[k]), rel=0.03, abs=0.01 * float(gradient.abs().max()))


def test_a_step_is_never_for_the_worse() -> None:
    model, motion, seen, person, priors, shared = beginning(900.0)
    wild = dataclasses.replace(motion, jaw_rad=motion.jaw_rad + torch.tensor([1.0, 0.4, 0.0]))
    now, last = (person, wild), float("inf")
    for _ in range(6):
        now = identity_fit._careful_step(model, seen, now, priors, shared, 900.0)
        cost = identity_fit._cost(model, now[1], seen, now[0], priors, shared, 900.0)
        assert cost <= last * (1 + 1e-5)
        last = cost


def test_at_a_bound_the_better_of_two_ways_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[float] = []
    real = identity_fit._careful_step

    def counted(*args) -> tuple[Person, Motion]:
        steps.append(args[4].focal)
        return real(*args)

    monkeypatch.setattr(identity_fit, "_careful_step", counted)
    model, motion, seen, person, priors, shared = beginning(900.0)
    fit_person(model, motion, seen, person, priors, shared, 6)
    assert not steps, "inside the bounds one way is enough"
    monkeypatch.setattr(identity_fit, "_FOCAL_RANGE", 1.001)
    found, moved = fit_person(model, motion, seen, person, priors, shared, 6)
    assert steps == [300.0] * 3 + [shared.focal] * 3
    monkeypatch.setattr(identity_fit, "_cost", lambda *_: 0.0)  # neither is better: the usual way
    usual, usual_motion = fit_person(model, motion, seen, person, priors, shared, 6)
    monkeypatch.undo()
    costs = [
        identity_fit._cost(model, m, seen, p, priors, shared, 900.0) for p, m in ((found, moved), (usual, usual_motion))
    ]
    assert costs[0] <= costs[1]
