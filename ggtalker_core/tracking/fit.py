"""From landmarks of a clip to a head: person first, then every frame, then the eyes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .config import TrackConfig
from .face_model import FaceModel, face_model
from .gaze import fit_gaze
from .identity_fit import Person, SharedPriors, fit_person, keyframes
from .mesh_pose import turned_further
from .observations import (
    Landmarks,
    ObservedLater,
    changes_of,
    gaze_changes_of,
    mesh_pose_of,
    observed_in,
    priors_of,
    still_joined,
    without_habit,
)
from .refine import Look, Problem, learn_look, refine_frames
from .row_store import RowStore, blocks, stay
from .solver import N_UNKNOWNS, Motion, Observed, normal_equations, project, solve
from .start import first_motion
from .steady import pose_stiffness, steadied
from .topology import LIPS, N_MESH
from .windows import LONG, samples, share_of, windows

if TYPE_CHECKING:
    from torch import Tensor

    from ..head import HeadModel
    from ..types import ReferenceClip

_FIRST_ITERATIONS = 3  # of the keyframes, before anything shared is fitted


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
    if start is None:
        chosen = without_habit(head, landmarks.some(samples(landmarks.valid)), config)
        landmarks.let_go()
        person = _person_alone(head, chosen, used, config, _Pulse(share_of(tick, 0.0, 0.7)))
    else:
        person = start.person
    total = len(landmarks.valid)
    pieces = _Pieces(total)
    for first, keep, stop in windows(landmarks.valid):
        own = landmarks.part(first, stop)
        near = known_motion(head, own, person) if start is None else start.motion.part(first, stop)
        begun = Fitted(person, near, near.jaw_rad.repeat(1, 2), own.points_px[..., 0], own.points_px)
        pieces.put(first, keep, _fit_whole(head, own, config, used, None, begun))
        if tick is not None:
            tick(0.3 + 0.7 * keep.stop / total)
        landmarks.let_go()
    return pieces.joined(person)


class _Pieces:
    """Windows put together. All that is kept has its place before they begin: what they use up is given back whole."""

    def __init__(self, total: int):
        """Room for `total` frames."""
        import numpy as np
        import torch

        self._motion, self._eyes = Motion.room(total), torch.zeros(total, 6)
        self._errors = RowStore((N_MESH,), np.float16)

    def put(self, first: int, keep: slice, part: Fitted) -> None:
        """Of a window that begins at frame `first`, the frames `keep`; always the next ones."""
        inside = slice(keep.start - first, keep.stop - first)
        self._motion.fill(keep.start, part.motion.part(inside.start, inside.stop))
        self._eyes[keep] = part.eyes_rad[inside]
        self._errors.add(part.error_px[inside].half().numpy())

    def joined(self, person: Person) -> Fitted:
        """All of it."""
        import torch

        error = self._errors.rows()
        return Fitted(person, self._motion, self._eyes, error.values, torch.zeros(0, N_MESH, 2), error.let_go)


def _person_alone(
    head: HeadModel, landmarks: Landmarks, used: Tensor | None, config: TrackConfig, pulse: _Pulse
) -> Person:
    """The person, with offsets for all landmarks; nobody needs these frames' motion."""
    import torch

    used = torch.arange(N_MESH, device=landmarks.points_px.device) if used is None else used
    model = face_model(head, used)
    person, _ = _person(model, observed_in(landmarks, used, config), landmarks, used, config, pulse)
    bias = person.bias_m.new_zeros(N_MESH, 3)
    bias[used] = person.bias_m
    return dataclasses.replace(person, bias_m=bias)


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

    landmarks = without_habit(head, landmarks, config)
    everything = torch.arange(N_MESH, device=landmarks.points_px.device)
    used = everything if used is None else used
    whole = face_model(head, everything)
    model = whole.rows(used)
    observed = observed_in(landmarks, used, config)
    pulse = _Pulse(tick)
    if start is None:
        person, motion = _person(model, observed, landmarks, used, config, pulse)
    else:
        person = dataclasses.replace(start.person, bias_m=start.person.bias_m[used])
        motion = start.motion
    observed = dataclasses.replace(observed, mesh=mesh_pose_of(landmarks, person.mesh_turn_rad, config))
    personal = model.personal(person.shape, person.bias_m)
    change = changes_of(landmarks, config)
    rounds = config.motion_iterations
    steps = solve(personal, motion, observed, person.focal_px, priors_of(config), change, rounds, pulse.beat)
    for k, step in enumerate(steps):
        motion = step
        pulse.reach(0.4 + 0.55 * (k + 1) / rounds)
    if config.steady > 0:
        hessian, _ = normal_equations(personal, motion, observed, person.focal_px, priors_of(config), pulse.beat)
        stiffness = pose_stiffness(hessian) * landmarks.valid[:, None, None]
        motion = steadied(motion, stiffness, still_joined(landmarks), config.steady, pulse.beat)
    bias = person.bias_m.new_zeros(N_MESH, 3)
    bias[used] = person.bias_m
    pulse.reach(0.97)
    return finished(head, landmarks, dataclasses.replace(person, bias_m=bias), motion, config)


def finished(head: HeadModel, landmarks: Landmarks, person: Person, motion: Motion, config: TrackConfig) -> Fitted:
    """Gaze and landmark errors of a motion; `person` with the offsets of all 468 landmarks."""
    import torch

    observed = observed_in(landmarks, torch.arange(N_MESH, device=landmarks.points_px.device), config)
    eyes = fit_gaze(
        head, person.shape, motion, person.focal_px, landmarks.centred_px, landmarks.valid, observed.unit_px,
        gaze_changes_of(landmarks, config),
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
    lips = config.photo_lips
    firm = dataclasses.replace(
        config, lip_weight=lips * config.lip_weight, lip_pair_weight=lips * config.lip_pair_weight,
        touch_weight=lips * config.touch_weight,
    )  # fmt: skip
    is_long = len(landmarks.valid) > LONG
    if is_long:
        seen = ObservedLater(head, landmarks, firm, fitted.person.mesh_turn_rad)
    else:
        landmarks = without_habit(head, landmarks, config)
        seen = observed_in(landmarks, torch.arange(N_MESH), firm)
        seen = dataclasses.replace(seen, mesh=mesh_pose_of(landmarks, fitted.person.mesh_turn_rad, firm))
    problem = Problem(
        head, landmarks.size_px, landmarks.valid, fitted.person, fitted.motion, seen, priors_of(config),
        changes_of(landmarks, config), config,
    )  # fmt: skip
    learned = known or learn_look(problem, clip, lambda x: tell(0.4 * x))
    motion, stiffness = refine_frames(problem, clip, learned, lambda x: tell(0.4 + 0.55 * x))
    motion = steadied(motion, stiffness, still_joined(landmarks), config.steady)
    finish = _finished_in_windows if is_long else finished
    return finish(head, landmarks, fitted.person, motion, config), learned


def _finished_in_windows(
    head: HeadModel, landmarks: Landmarks, person: Person, motion: Motion, config: TrackConfig
) -> Fitted:
    """The same window by window; landmarks as they were found."""
    pieces = _Pieces(len(landmarks.valid))
    for first, keep, stop in windows(landmarks.valid):
        own = without_habit(head, landmarks.part(first, stop), config)
        pieces.put(first, keep, finished(head, own, person, motion.part(first, stop), config))
        landmarks.let_go()
    return pieces.joined(person)


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
    some, seen = motion.take(chosen), observed.take(chosen)
    apart = motion.jaw_rad.new_zeros(len(chosen) - 1, N_UNKNOWNS)
    priors = priors_of(config)
    for step in solve(model, some, seen, guess, priors, apart, _FIRST_ITERATIONS, pulse.beat):
        some = step
    pulse.reach(0.15)
    person = Person(motion.jaw_rad.new_zeros(config.n_shape), guess, motion.jaw_rad.new_zeros(model.mean_m.shape[1], 3))
    bias = torch.full((N_MESH,), config.bias_prior)
    bias[list(LIPS)] = config.lip_bias_prior
    shared = SharedPriors(config.shape_prior, config.focal_prior, bias[used])
    person, some = fit_person(model, some, seen, person, priors, shared, config.person_iterations, pulse.beat)
    if landmarks.mesh_rotation is not None:
        further = turned_further(some, landmarks.mesh_rotation[chosen])
        person = dataclasses.replace(person, mesh_turn_rad=further.median(0).values)
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
