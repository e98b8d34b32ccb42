"""From landmarks of a clip to a head: person first, then every frame, then the eyes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .config import TrackConfig
from .face_model import FaceModel, face_model
from .gaze import fit_gaze
from .habit import mended
from .identity_fit import Person, SharedPriors, fit_person, keyframes
from .refine import Look, Problem, learn_look, refine_frames
from .row_store import RowStore, blocks, stay
from .solver import (
    EXPRESSION,
    JAW,
    N_UNKNOWNS,
    ROTATION,
    TRANSLATION,
    Motion,
    Observed,
    Priors,
    normal_equations,
    project,
    solve,
)
from .start import first_motion
from .steady import pose_stiffness, steadied
from .topology import (
    LID_PAIRS_LEFT,
    LID_PAIRS_RIGHT,
    LIDS,
    LIP_PAIRS,
    LIPS,
    N_MESH,
    OUTER_EYE_LEFT,
    OUTER_EYE_RIGHT,
    OVAL,
)
from .windows import LONG, samples, share_of, windows

if TYPE_CHECKING:
    from torch import Tensor

    from ..head import HeadModel
    from ..types import ReferenceClip

_BRIDGE = 50.0  # times the usual smoothness, where a frame without a face is bridged
_FIRST_ITERATIONS = 3  # of the keyframes, before anything shared is fitted


@dataclass(frozen=True)
class Landmarks:
    """What is fitted: 478 points per frame, and which frames count and belong together."""

    points_px: Tensor  # [T, 478, 2] in the frame
    valid: Tensor  # [T] bool
    joined: Tensor  # [T - 1] bool: no cut between i and i + 1
    size_px: tuple[int, int]
    let_go: Callable[[], None] = stay  # gives back the memory of points read so far, where they lie in a file

    @property
    def centred_px(self) -> Tensor:
        """Points from the principal point, which is taken to be the middle of the frame."""
        return self.points_px - self.points_px.new_tensor(self.size_px) / 2

    def iod_px(self) -> float:
        """Median distance of the outer eye corners: 100 % of every error."""
        eyes = self.points_px.new_zeros(len(self.valid), 2, 2)
        for start, stop in blocks(len(eyes)):
            eyes[start:stop] = self.points_px[start:stop, [OUTER_EYE_RIGHT, OUTER_EYE_LEFT]]
            self.let_go()
        return float((eyes[:, 0] - eyes[:, 1])[self.valid].norm(dim=-1).median())

    def part(self, start: int, stop: int) -> Landmarks:
        """The frames start..stop."""
        joined = self.joined[start : max(stop - 1, start)]
        return Landmarks(self.points_px[start:stop], self.valid[start:stop], joined, self.size_px)

    def some(self, indices: Tensor) -> Landmarks:
        """Single frames, which do not belong together."""
        import torch

        apart = torch.zeros(max(len(indices) - 1, 0), dtype=torch.bool)
        return Landmarks(self.points_px[indices], self.valid[indices], apart, self.size_px)


@dataclass(frozen=True)
class Fitted:
    """A head in every frame. Bias and errors are given for all 468 mesh landmarks, fitted or left out."""

    person: Person
    motion: Motion
    eyes_rad: Tensor  # [T, 6]
    error_px: Tensor  # [T, 468]; half precision for long clips
    flat_px: Tensor  # [T, 468, 2] the model's landmarks in the frame; [0, 468, 2] for long clips
    let_go: Callable[[], None] = stay  # gives back the memory of errors read so far, where they lie in a file

    def mean_error_px(self) -> Tensor:
        """Of every frame, [T]."""
        import torch

        means: list[Tensor] = []
        for start, stop in blocks(len(self.error_px)):
            means.append(self.error_px[start:stop].mean(1, dtype=torch.float32))
            self.let_go()
        return torch.cat(means)


class _Pulse:
    """Tells how far the fit is, and between two such points that it is alive."""

    def __init__(self, tick: Callable[[float], None] | None):
        self._tick, self._reached = tick, 0.0

    def reach(self, fraction: float) -> None:
        """The fit is `fraction` done."""
        self._reached = fraction
        self.beat()

    def beat(self) -> None:
        """Still there."""
        if self._tick is not None:
            self._tick(self._reached)


def fit_landmarks(
    head: HeadModel, landmarks: Landmarks, config: TrackConfig, *, used: Tensor | None = None,
    tick: Callable[[float], None] | None = None, start: Fitted | None = None,
) -> Fitted:  # fmt: skip
    """Fit the head. `used` (int64 indices below 468) leaves landmarks out, for measuring; `tick` hears of progress.

    `start`: an earlier fit of the same landmarks, whose person is kept (only the motion is fitted again).
    """
    if len(landmarks.valid) <= LONG:
        return _fit_whole(head, landmarks, config, used, tick, start)
    return _fit_in_windows(head, landmarks, config, used, tick, start)


def _fit_in_windows(
    head: HeadModel, landmarks: Landmarks, config: TrackConfig, used: Tensor | None,
    tick: Callable[[float], None] | None, start: Fitted | None,
) -> Fitted:  # fmt: skip
    """The person from frames spread over the clip, then the motion window by window."""
    import numpy as np
    import torch

    if start is None:
        chosen = _mended(head, landmarks.some(samples(landmarks.valid)), config)
        person = _person_alone(head, chosen, used, config, _Pulse(share_of(tick, 0.0, 0.7)))
    else:
        person = start.person
    # All that is kept has its place before the windows begin: what they use up is then given back as a whole.
    total = len(landmarks.valid)
    motion, eyes, errors = Motion.room(total), torch.zeros(total, 6), RowStore((N_MESH,), np.float16)
    for first, keep, stop in windows(landmarks.valid):
        own = landmarks.part(first, stop)
        near = known_motion(head, own, person) if start is None else start.motion.part(first, stop)
        begun = Fitted(person, near, near.jaw_rad.repeat(1, 2), own.points_px[..., 0], own.points_px)
        part = _fit_whole(head, own, config, used, None, begun)
        if tick is not None:
            tick(0.3 + 0.7 * keep.stop / total)
        inside = slice(keep.start - first, keep.stop - first)
        motion.fill(keep.start, part.motion.part(inside.start, inside.stop))
        eyes[keep] = part.eyes_rad[inside]
        errors.add(part.error_px[inside].half().numpy())
        landmarks.let_go()
    error = errors.rows()
    return Fitted(person, motion, eyes, error.values, torch.zeros(0, N_MESH, 2), error.let_go)


def _person_alone(
    head: HeadModel, landmarks: Landmarks, used: Tensor | None, config: TrackConfig, pulse: _Pulse
) -> Person:
    """The person, with offsets for all landmarks; nobody needs these frames' motion."""
    import torch

    used = torch.arange(N_MESH, device=landmarks.points_px.device) if used is None else used
    model = face_model(head, used)
    person, _ = _person(model, _observed(landmarks, used, config), landmarks, used, config, pulse)
    bias = person.bias_m.new_zeros(N_MESH, 3)
    bias[used] = person.bias_m
    return Person(person.shape, person.focal_px, bias)


def _mended(head: HeadModel, landmarks: Landmarks, config: TrackConfig) -> Landmarks:
    """The landmarks without the habit of the mesh that found them."""
    if config.habit == 0:
        return landmarks
    points = mended(head, landmarks.centred_px, landmarks.valid, config.habit)
    return dataclasses.replace(landmarks, points_px=points + points.new_tensor(landmarks.size_px) / 2)


def known_motion(head: HeadModel, landmarks: Landmarks, person: Person) -> Motion:
    """Poses in closed form for a known person, faces at rest; frames without a face as the nearest one with."""
    import torch

    model = face_model(head, torch.arange(N_MESH)).personal(person.shape, person.bias_m)
    points = landmarks.centred_px[:, :N_MESH]
    motion = first_motion(model.mean_m.sum(0), points, person.focal_px)
    good, frames = landmarks.valid.nonzero().flatten(), torch.arange(len(points))
    after = torch.searchsorted(good, frames).clamp(max=len(good) - 1)
    before = (after - 1).clamp(min=0)
    nearer = (frames - good[before]).abs() <= (good[after] - frames).abs()
    return motion.take(torch.where(nearer, good[before], good[after]))


def _fit_whole(
    head: HeadModel, landmarks: Landmarks, config: TrackConfig, used: Tensor | None,
    tick: Callable[[float], None] | None, start: Fitted | None,
) -> Fitted:  # fmt: skip
    """All frames at once."""
    import torch

    landmarks = _mended(head, landmarks, config)
    everything = torch.arange(N_MESH, device=landmarks.points_px.device)
    used = everything if used is None else used
    whole = face_model(head, everything)
    model = whole.rows(used)
    observed = _observed(landmarks, used, config)
    pulse = _Pulse(tick)
    if start is None:
        person, motion = _person(model, observed, landmarks, used, config, pulse)
    else:
        person = Person(start.person.shape, start.person.focal_px, start.person.bias_m[used])
        motion = start.motion
    personal = model.personal(person.shape, person.bias_m)
    change = _changes(landmarks, config)
    rounds = config.motion_iterations
    steps = solve(personal, motion, observed, person.focal_px, _priors(config), change, rounds, pulse.beat)
    for k, step in enumerate(steps):
        motion = step
        pulse.reach(0.4 + 0.55 * (k + 1) / rounds)
    if config.steady > 0:
        hessian, _ = normal_equations(personal, motion, observed, person.focal_px, _priors(config), pulse.beat)
        stiffness = pose_stiffness(hessian) * landmarks.valid[:, None, None]
        motion = steadied(motion, stiffness, _still_joined(landmarks), config.steady, pulse.beat)
    bias = person.bias_m.new_zeros(N_MESH, 3)
    bias[used] = person.bias_m
    pulse.reach(0.97)
    return finished(head, landmarks, Person(person.shape, person.focal_px, bias), motion, config)


def finished(head: HeadModel, landmarks: Landmarks, person: Person, motion: Motion, config: TrackConfig) -> Fitted:
    """Gaze and landmark errors of a motion; `person` with the offsets of all 468 landmarks."""
    import torch

    observed = _observed(landmarks, torch.arange(N_MESH, device=landmarks.points_px.device), config)
    eyes = fit_gaze(
        head, person.shape, motion, person.focal_px, landmarks.centred_px, landmarks.valid, observed.unit_px,
        _gaze_changes(landmarks, config),
    )  # fmt: skip
    whole = face_model(head, torch.arange(N_MESH, device=landmarks.points_px.device))
    flat = project(whole.personal(person.shape, person.bias_m), motion, person.focal_px)
    error = (flat - landmarks.centred_px[:, :N_MESH]).norm(dim=-1)
    return Fitted(person, motion, eyes, error, flat + flat.new_tensor(landmarks.size_px) / 2)


def refined(
    head: HeadModel, landmarks: Landmarks, fitted: Fitted, config: TrackConfig, clip: ReferenceClip, *,
    known: Look | None = None, tick: Callable[[float], None] | None = None,
) -> tuple[Fitted, Look]:  # fmt: skip
    """The fit brought into agreement with the colours of the skin as well. `known`: what was learned from other frames
    of the same person, and is kept."""
    import torch

    tell = tick or (lambda _: None)
    landmarks = _mended(head, landmarks, config)
    lips = config.photo_lips
    firm = dataclasses.replace(
        config, lip_weight=lips * config.lip_weight, lip_pair_weight=lips * config.lip_pair_weight
    )
    observed = _observed(landmarks, torch.arange(N_MESH), firm)
    problem = Problem(
        head, landmarks.size_px, landmarks.valid, fitted.person, fitted.motion, observed, _priors(config),
        _changes(landmarks, config), config,
    )  # fmt: skip
    learned = known or learn_look(problem, clip, lambda x: tell(0.4 * x))
    motion, stiffness = refine_frames(problem, clip, learned, lambda x: tell(0.4 + 0.55 * x))
    motion = steadied(motion, stiffness, _still_joined(landmarks), config.steady)
    return finished(head, landmarks, fitted.person, motion, config), learned


def _still_joined(landmarks: Landmarks) -> Tensor:
    """Neighbours that belong together, [T - 1]."""
    both = landmarks.valid[1:] & landmarks.valid[:-1]
    return landmarks.joined | ~both


def _person(
    model: FaceModel, observed: Observed, landmarks: Landmarks, used: Tensor, config: TrackConfig,
    pulse: _Pulse,
) -> tuple[Person, Motion]:  # fmt: skip
    """Shape, focal length and offsets over keyframes; a first pose for every frame."""
    import torch

    guess = config.first_focal * max(landmarks.size_px)
    motion = first_motion(model.mean_m.sum(0), observed.points_px, guess)
    motion = _bridge_poses(motion, landmarks.valid)
    chosen = keyframes(motion, landmarks.valid, config.keyframes)
    some, seen = motion.take(chosen), _take(observed, chosen)
    apart = motion.jaw_rad.new_zeros(len(chosen) - 1, N_UNKNOWNS)
    priors = _priors(config)
    for step in solve(model, some, seen, guess, priors, apart, _FIRST_ITERATIONS, pulse.beat):
        some = step
    pulse.reach(0.15)
    person = Person(motion.jaw_rad.new_zeros(config.n_shape), guess, motion.jaw_rad.new_zeros(model.mean_m.shape[1], 3))
    bias = torch.full((N_MESH,), config.bias_prior)
    bias[list(LIPS)] = config.lip_bias_prior
    shared = SharedPriors(config.shape_prior, config.focal_prior, bias[used])
    person, _ = fit_person(model, some, seen, person, priors, shared, config.person_iterations, pulse.beat)
    pulse.reach(0.4)
    nearer = motion.translation_m.new_tensor([1.0, 1.0, person.focal_px / guess])
    return person, Motion(motion.rotation, motion.translation_m * nearer, motion.jaw_rad, motion.expression)


def _bridge_poses(motion: Motion, valid: Tensor) -> Motion:
    """Frames without a face start from the pose of the last frame with one (the first such, at the start)."""
    import torch

    places = torch.where(valid, torch.arange(len(valid), device=valid.device), -1)
    last = places.cummax(0).values
    first = int(valid.nonzero()[0, 0])
    return motion.take(torch.where(last < 0, first, last))


def _observed(landmarks: Landmarks, used: Tensor, config: TrackConfig) -> Observed:
    """Weights and units of the landmarks `used`."""
    import torch

    points = landmarks.centred_px[:, :N_MESH]
    weights = torch.ones(N_MESH, device=points.device)
    for names, weight in ((OVAL, config.outline_weight), (LIPS, config.lip_weight), (LIDS, config.lid_weight)):
        weights[list(names)] = weight
    place = {int(k): i for i, k in enumerate(used.tolist())}
    lips = [(place[a], place[b]) for a, b in LIP_PAIRS if a in place and b in place]
    lids = [(place[a], place[b]) for a, b in LID_PAIRS_LEFT + LID_PAIRS_RIGHT if a in place and b in place]
    pair_weights = torch.tensor([config.lip_pair_weight] * len(lips) + [config.lid_pair_weight] * len(lids))
    seen = landmarks.valid.to(points)[:, None]
    # A turned head shows its eyes nearer together, but is not smaller: the extent of all points gives the scale.
    extent = (points - points.mean(1, keepdim=True)).norm(dim=-1).mean(1).clamp(min=1e-3)
    eyes = (points[:, OUTER_EYE_LEFT] - points[:, OUTER_EYE_RIGHT]).norm(dim=-1)
    ratio = (eyes / extent)[landmarks.valid].quantile(0.8)
    return Observed(
        points_px=points[:, used],
        weights=weights[used] * seen,
        unit_px=torch.where(landmarks.valid, extent * ratio / 100, torch.ones_like(extent)),
        pairs=torch.tensor(lips + lids, dtype=torch.int64, device=points.device).reshape(-1, 2),
        pair_weights=pair_weights.to(points) * seen,
    )


def _take(observed: Observed, indices: Tensor) -> Observed:
    return Observed(
        observed.points_px[indices], observed.weights[indices], observed.unit_px[indices], observed.pairs,
        observed.pair_weights[indices],
    )  # fmt: skip


def _priors(config: TrackConfig) -> Priors:
    import torch

    rest = torch.zeros(N_UNKNOWNS)
    rest[JAW] = torch.tensor([config.jaw_prior, config.jaw_side_prior, config.jaw_side_prior])
    rest[EXPRESSION] = config.expression_prior
    return Priors(rest, config.jaw_closed_prior, config.robust)


def _changes(landmarks: Landmarks, config: TrackConfig) -> Tensor:
    """Temporal prior [T - 1, 59]: none across cuts between good frames, strong and on everything across lost frames."""
    import torch

    usual = torch.zeros(N_UNKNOWNS)
    usual[ROTATION], usual[TRANSLATION] = config.turn_change, config.move_change
    usual[EXPRESSION] = config.expression_change
    bridge = usual.clone()
    bridge[JAW] = config.turn_change / 10
    bridge[EXPRESSION] = max(config.expression_change, 1.0) * _BRIDGE
    both = landmarks.valid[1:] & landmarks.valid[:-1]
    change = torch.where(both[:, None], usual, bridge)
    return change * (landmarks.joined | ~both)[:, None]


def _gaze_changes(landmarks: Landmarks, config: TrackConfig) -> Tensor:
    """Temporal prior of the eyes [T - 1]."""
    both = landmarks.valid[1:] & landmarks.valid[:-1]
    return config.gaze_change * (landmarks.joined | ~both).float()
