"""Shape, focal length and landmark offsets of one person, over a few frames that differ in pose and expression.

Gauss-Newton in which each frame's own unknowns are eliminated (Schur complement), so that only the shared ones are
solved for together.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .face_model import FaceModel
from .solver import (
    JAW,
    N_UNKNOWNS,
    Motion,
    Observed,
    Priors,
    linearise,
    normal_equations,
    project,
    quiet,
    weighted_rows,
)
from .touch import depth_apart

if TYPE_CHECKING:
    from torch import Tensor

_CHUNK = 8  # keyframes whose Jacobians are held at once
_FIRM_FOCAL = 300.0  # prior of a focal length that is held
_MOST_FOCAL = 0.2  # step of the logarithm
_HALVES = 5  # of a step that makes things worse
_FOCAL_RANGE = 2.5  # times the first guess, either way: landmarks say little about it


@dataclass(frozen=True)
class Person:
    """What does not change in a clip."""

    shape: Tensor  # [S]
    focal_px: float
    bias_m: Tensor  # [L, 3] how far this face's landmarks lie from the embedding, head axes
    mesh_turn_rad: Tensor | None = None  # [3] how much further the mesh's depth turns this head than its landmarks do


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
    """Refine what is shared, together with the keyframes' own unknowns.

    Where landmarks are wrong (a deep bow) the focal length may run to its bound. Then the shape is found first, with
    the focal length held, by steps that must not make things worse; the better of both ways counts.
    """
    guess = person.focal_px
    begun = person, motion
    for _ in range(iterations):
        heartbeat()
        step, own = _shared_step(model, motion, observed, person, priors, shared, guess)
        focal = _within(person.focal_px * math.exp(float(step[-1].clamp(-_MOST_FOCAL, _MOST_FOCAL))), guess)
        person, motion = Person(person.shape + step[:-1], focal, person.bias_m), motion.stepped(own)
        person = Person(person.shape, focal, _fit_bias(model, motion, observed, person, priors, shared))
    if abs(math.log(person.focal_px / guess)) < 0.999 * math.log(_FOCAL_RANGE):
        return person, motion
    firm = dataclasses.replace(shared, focal=max(shared.focal, _FIRM_FOCAL))
    ways = [(person, motion), begun]
    for k in range(iterations):
        heartbeat()
        ways[1] = _careful_step(model, observed, ways[1], priors, firm if k < iterations // 2 else shared, guess)
    costs = [_cost(model, after, observed, found, priors, shared, guess) for found, after in ways]
    return ways[1] if costs[1] < costs[0] else ways[0]


def _within(focal_px: float, guess: float) -> float:
    """The focal length inside its bounds."""
    return min(max(focal_px, guess / _FOCAL_RANGE), guess * _FOCAL_RANGE)


def _careful_step(
    model: FaceModel, observed: Observed, begun: tuple[Person, Motion], priors: Priors, shared: SharedPriors,
    guess: float,
) -> tuple[Person, Motion]:  # fmt: skip
    """A step that is halved until it makes things better; none where no way leads down."""
    person, motion = begun
    now = _cost(model, motion, observed, person, priors, shared, guess)
    step, own = _shared_step(model, motion, observed, person, priors, shared, guess)
    part = min(1.0, _MOST_FOCAL / max(abs(float(step[-1])), 1e-9))  # focal length and depth go together
    for _ in range(_HALVES):
        focal = _within(person.focal_px * math.exp(part * float(step[-1])), guess)
        moved, after = Person(person.shape + part * step[:-1], focal, person.bias_m), motion.stepped(part * own)
        if _cost(model, after, observed, moved, priors, shared, guess) < now:
            return Person(moved.shape, focal, _fit_bias(model, after, observed, moved, priors, shared)), after
        part /= 2
    return begun


def _cost(
    model: FaceModel, motion: Motion, observed: Observed, person: Person, priors: Priors, shared: SharedPriors,
    guess: float,
) -> float:  # fmt: skip
    """What the steps bring down: the robust misfit of landmarks and pairs, touching lips, and all priors."""
    import torch

    own_model = model.personal(person.shape, person.bias_m)
    flat = project(own_model, motion, person.focal_px)
    error = (flat - observed.points_px) / observed.unit_px[:, None, None]
    a, b = observed.pairs.unbind(1)
    square = torch.cat([error, error[:, a] - error[:, b]], 1).square().sum(-1)
    weights = torch.cat([observed.weights, observed.pair_weights], 1)
    misfit = (weights * ((1 + square / priors.robust**2).sqrt() - 1)).sum() * priors.robust**2
    misfit = misfit + 0.5 * (observed.touch_weights * depth_apart(own_model, motion, observed.pairs).square()).sum()
    seen = (observed.weights.amax(1) > 0).to(error)[:, None]
    own = torch.cat([motion.jaw_rad, motion.expression], 1).square() * priors.rest[JAW.start :] * seen
    shut = seen[:, 0] * priors.jaw_closed * motion.jaw_rad[:, 0].clamp(max=0).square()
    count = len(motion.jaw_rad)
    common = shared.shape * float(person.shape.square().sum())
    common += shared.focal * math.log(person.focal_px / guess) ** 2
    common += float((shared.bias * (person.bias_m * 1e3).square().sum(1)).sum())
    return float(misfit) + 0.5 * (float(own.sum()) + float(shut.sum()) + count * common)


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
