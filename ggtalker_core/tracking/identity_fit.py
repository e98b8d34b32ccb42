"""Shape, focal length and landmark offsets of one person, over a few frames that differ in pose and expression.

Gauss-Newton in which each frame's own unknowns are eliminated (Schur complement), so that only the shared ones are
solved for together.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .face_model import FaceModel
from .solver import N_UNKNOWNS, Motion, Observed, Priors, linearise, normal_equations, project, quiet, weighted_rows

if TYPE_CHECKING:
    from torch import Tensor

_CHUNK = 8  # keyframes whose Jacobians are held at once
_FOCAL_RANGE = 2.5  # times the first guess, either way: landmarks say little about it


@dataclass(frozen=True)
class Person:
    """What does not change in a clip."""

    shape: Tensor  # [S]
    focal_px: float
    bias_m: Tensor  # [L, 3] how far this face's landmarks lie from the embedding, head axes


@dataclass(frozen=True)
class SharedPriors:
    """Strength of the priors on what is shared, per keyframe, in the unit of the residuals."""

    shape: float
    focal: float  # of log(focal / first guess)
    bias: Tensor  # [L] of each landmark, per millimetre squared


def keyframes(motion: Motion, valid: Tensor, count: int) -> Tensor:
    """Indices [K] of frames that differ most in rotation, distance and jaw (farthest point sampling)."""
    import torch

    from ..head.pose import matrix_to_axis_angle

    usable = valid.nonzero()[:, 0]
    middle = motion.rotation[usable].mean(0)
    u, _, vh = torch.linalg.svd(middle)
    turn = matrix_to_axis_angle(motion.rotation[usable] @ (u @ vh).mT)
    depth = motion.translation_m[usable, 2:].clamp(min=1e-3).log()
    features = torch.cat([turn, depth * 0.5, motion.jaw_rad[usable, :1] * 1.5, motion.expression[usable] * 0.05], 1)
    distance = (features - features.median(0).values).norm(dim=1)
    chosen = [int(distance.argmin())]
    reach = (features - features[chosen[0]]).norm(dim=1)
    while len(chosen) < min(count, len(usable)):
        chosen.append(int(reach.argmax()))
        reach = torch.minimum(reach, (features - features[chosen[-1]]).norm(dim=1))
    return usable[torch.tensor(sorted(chosen))]


def fit_person(
    model: FaceModel, motion: Motion, observed: Observed, person: Person, priors: Priors, shared: SharedPriors,
    iterations: int, heartbeat: Callable[[], None] = quiet,
) -> tuple[Person, Motion]:  # fmt: skip
    """Refine what is shared, together with the keyframes' own unknowns."""
    guess = person.focal_px
    for _ in range(iterations):
        heartbeat()
        step, own = _shared_step(model, motion, observed, person, priors, shared, guess)
        focal = person.focal_px * math.exp(float(step[-1].clamp(-0.2, 0.2)))
        focal = min(max(focal, guess / _FOCAL_RANGE), guess * _FOCAL_RANGE)
        person = Person(person.shape + step[:-1], focal, person.bias_m)
        motion = motion.stepped(own)
        person = Person(person.shape, focal, _fit_bias(model, motion, observed, person, priors, shared))
    return person, motion


def _shared_step(
    model: FaceModel, motion: Motion, observed: Observed, person: Person, priors: Priors, shared: SharedPriors,
    guess: float,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Step of (shape, log focal) [S + 1] and of each frame's unknowns [K, 59]."""
    import torch

    own_model = model.personal(person.shape, person.bias_m)
    hessian, gradient = normal_equations(own_model, motion, observed, person.focal_px, priors)
    width, count = len(person.shape), len(motion.jaw_rad)
    parts = [
        _common(own_model, motion.part(a, a + _CHUNK), observed.part(a, a + _CHUNK), person, priors)
        for a in range(0, count, _CHUNK)
    ]
    cross = torch.cat([part[0] for part in parts])  # [K, S + 1, 59]
    strength = cross.new_full((width + 1,), shared.shape)
    strength[-1] = shared.focal
    value = torch.cat([person.shape, person.shape.new_tensor([math.log(person.focal_px / guess)])])
    total = torch.stack([part[1] for part in parts]).sum(0) + torch.diag(strength * count)
    pull = torch.stack([part[2] for part in parts]).sum(0) + strength * count * value
    damped = hessian + 1e-4 * torch.eye(N_UNKNOWNS, dtype=hessian.dtype, device=hessian.device)
    solved = torch.linalg.solve(damped, torch.cat([cross.mT, gradient[..., None]], -1))  # [K, 59, S + 2]
    reduced = total - (cross @ solved[..., :-1]).sum(0)
    target = pull - (cross @ solved[..., -1:])[..., 0].sum(0)
    step = -torch.linalg.solve(reduced.double(), target.double()).to(target)
    return step, -solved[..., -1] - solved[..., :-1] @ step


def _common(
    own_model: FaceModel, motion: Motion, observed: Observed, person: Person, priors: Priors
) -> tuple[Tensor, Tensor, Tensor]:
    """Of k frames: cross terms [k, S + 1, 59] of (shape, log focal) with each frame's unknowns, and summed over the
    frames the Hessian [S + 1, S + 1] and the gradient [S + 1] of the data."""
    import torch

    flat, jacobian, by_head = linearise(own_model, motion, person.focal_px)
    by_shape = by_head @ own_model.shape_derivative(motion.jaw_rad)[..., : len(person.shape)]
    both = torch.cat([jacobian, by_shape, flat[..., None]], -1)  # [k, L, 2, 59 + S + 1]
    residual, rows, weights = weighted_rows(flat, both, observed, priors.robust)
    rows = rows.flatten(1, 2)
    own, common = rows[..., :N_UNKNOWNS], rows[..., N_UNKNOWNS:]
    weighted = common * weights.repeat_interleave(2, 1)[..., None]
    gradient = (weighted.mT @ residual.flatten(1, 2)[..., None])[..., 0].sum(0)
    return weighted.mT @ own, (weighted.mT @ common).sum(0), gradient


def _fit_bias(
    model: FaceModel, motion: Motion, observed: Observed, person: Person, priors: Priors, shared: SharedPriors
) -> Tensor:
    """Offsets of the landmarks [L, 3] that explain what the shape cannot, each on its own, in closed form."""
    import torch

    own_model = model.personal(person.shape, person.bias_m)
    flat, _, by_head = linearise(own_model, motion, person.focal_px)
    unit = observed.unit_px[:, None, None]
    rows = by_head / unit[..., None] * 1e-3  # by millimetres
    error = (project(own_model, motion, person.focal_px) - observed.points_px) / unit
    weights = observed.weights / (1 + error.square().sum(-1) / priors.robust**2).sqrt()
    weighted = rows * weights[..., None, None]
    hessian = torch.einsum("klax,klay->lxy", weighted, rows)
    now_mm = person.bias_m * 1e3
    target = torch.einsum("klax,kla->lx", weighted, torch.einsum("klax,lx->kla", rows, now_mm) - error)
    strength = shared.bias[:, None, None] * len(flat) * torch.eye(3, dtype=hessian.dtype, device=hessian.device)
    return torch.linalg.solve(hessian + strength, target[..., None])[..., 0] * 1e-3
