"""The photometric stage: appearance and relief from keyframes, then every frame, window by window.

The clip is read twice more, in order, and never held: first for the keyframes, then in overlapping windows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .config import TrackConfig
from .face_model import FaceModel, face_model
from .identity_fit import Person, keyframes
from .observations import ObservedLater
from .photometric import Strength, equations, learn, look
from .pictures import Pictures, box_of, cut_picture, pictures
from .relief import ReliefPrior, relief_step
from .skin import Appearance, Skin, skin_of
from .solver import (
    EXPRESSION,
    JAW,
    N_UNKNOWNS,
    Motion,
    Observed,
    Priors,
    jump_between,
    normal_equations,
    project,
    solve_along_time,
)
from .steady import pose_stiffness
from .topology import N_MESH

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from ..head import HeadModel
    from ..types import ReferenceClip

WINDOW, OVERLAP = 96, 12  # frames that are solved together, and what they share with the next window
_HOLD_JAW = 100.0  # a radian of the jaw against a standard deviation of the expression


@dataclass(frozen=True)
class Look:
    """What the photometric stage learned of the person; held-out frames are fitted to it as it is."""

    appearance: Appearance
    offset_m: Tensor  # [V, 3]


@dataclass(frozen=True)
class Problem:
    """What the landmark fit hands over."""

    head: HeadModel
    size_px: tuple[int, int]
    valid: Tensor  # [T] bool
    person: Person
    motion: Motion
    observed: Observed | ObservedLater
    priors: Priors
    change: Tensor  # [T - 1, 59]
    config: TrackConfig

    @property
    def strength(self) -> Strength:
        """How much the colours count."""
        return Strength(self.config.photo_weight)

    def landmarks(self) -> FaceModel:
        """The landmarks of this person."""
        import torch

        return face_model(self.head, torch.arange(N_MESH)).personal(self.person.shape, self.person.bias_m)


def learn_look(problem: Problem, clip: ReferenceClip, tick: Callable[[float], None]) -> Look:
    """Albedo, light and relief from the keyframes, alternating with their poses and expressions."""
    import torch

    config, head = problem.config, problem.head
    keys = keyframes(problem.motion, problem.valid, config.photo_keyframes)
    model, start = problem.landmarks(), problem.motion.take(keys)
    motion = start
    cuts, boxes = _key_cuts(problem, clip, keys, lambda x: tick(0.3 * x))
    shown, observed = pictures(cuts, boxes), problem.observed.take(keys)
    apart = motion.jaw_rad.new_zeros(len(keys) - 1, N_UNKNOWNS)
    height, offset = torch.zeros(head.n_vertices), torch.zeros(head.n_vertices, 3)
    skin = skin_of(head, problem.person.shape)
    appearance = learn(skin, shown, motion, problem.person.focal_px)
    for k in range(config.photo_rounds):
        for _ in range(2):
            tick(0.3 + 0.7 * k / config.photo_rounds)
            hessian, gradient = _both(problem, model, skin, appearance, shown, motion, observed, start)
            motion = motion.stepped(solve_along_time(hessian, gradient, jump_between(motion), apart).float())
        appearance = learn(skin, shown, motion, problem.person.focal_px)
        if config.relief_smooth > 0:
            seen = look(skin, appearance, shown, motion, problem.person.focal_px, problem.strength)
            prior = ReliefPrior(config.relief_smooth)
            height, offset = relief_step(head, problem.person.shape, skin, seen, height, prior)
            skin = skin_of(head, problem.person.shape, offset)
            appearance = learn(skin, shown, motion, problem.person.focal_px)
    return Look(appearance, offset)


def refine_frames(
    problem: Problem, clip: ReferenceClip, learned: Look, tick: Callable[[float], None]
) -> tuple[Motion, Tensor]:
    """Every frame's pose, jaw and expression, and the stiffness of its pose [T, 6, 6]."""
    import torch

    model = problem.landmarks()
    skin = skin_of(problem.head, problem.person.shape, learned.offset_m)
    motions: list[Motion] = []
    stiff: list[Tensor] = []
    total = len(problem.valid)
    for start, keep, stop, cuts, boxes in _windows(problem, clip, model):
        shown, found = pictures(cuts, boxes), problem.motion.part(start, stop)
        motion = found
        observed, change = problem.observed.part(start, stop), problem.change[start : stop - 1]
        part = dataclasses.replace(problem, valid=problem.valid[start:stop])
        hessian = torch.zeros(len(cuts), N_UNKNOWNS, N_UNKNOWNS)
        for k in range(problem.config.photo_iterations):
            tick((keep.start + (keep.stop - keep.start) * k / problem.config.photo_iterations) / total)
            hessian, gradient = _both(part, model, skin, learned.appearance, shown, motion, observed, found)
            step = solve_along_time(hessian, gradient, jump_between(motion), change)
            motion = motion.stepped(step.float())
        inside = slice(keep.start - start, keep.stop - start)
        motions.append(motion.part(inside.start, inside.stop))
        stiff.append(pose_stiffness(hessian[inside]) * part.valid[inside, None, None])
    joined = Motion(*(torch.cat([getattr(m, f.name) for m in motions]) for f in dataclasses.fields(Motion)))
    return joined, torch.cat(stiff)


def _both(
    problem: Problem, model: FaceModel, skin: Skin, appearance: Appearance, shown: Pictures, motion: Motion,
    observed: Observed, found: Motion,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Normal equations of landmarks and colours together, jaw and expression held to those `found` from landmarks.

    Colours know the pose well. Of the face they know little: what gloss and cast shadows do to the skin looks like a
    slight change of expression, and 2,000 samples outvote 468 landmarks.
    """
    import torch

    focal = problem.person.focal_px
    hessian, gradient = normal_equations(model, motion, observed, focal, problem.priors)
    by_color, pull = equations(skin, appearance, shown, motion, focal, problem.strength)
    used = (observed.weights.amax(1) > 0).to(hessian)
    hold = hessian.new_zeros(N_UNKNOWNS)
    hold[JAW], hold[EXPRESSION] = _HOLD_JAW * problem.config.photo_hold, problem.config.photo_hold
    moved = torch.cat([motion.jaw_rad - found.jaw_rad, motion.expression - found.expression], 1)
    pull = pull + hold * torch.nn.functional.pad(moved, (JAW.start, 0))
    return hessian + used[:, None, None] * (by_color + torch.diag(hold)), gradient + used[:, None] * pull


def _key_cuts(
    problem: Problem, clip: ReferenceClip, keys: Tensor, tick: Callable[[float], None]
) -> tuple[list[NDArray[np.uint8]], Tensor]:
    """The keyframes' face pictures [K] and their boxes [K, 3]."""
    import torch

    wanted = {int(k): i for i, k in enumerate(keys.tolist())}
    last = max(wanted)
    flat = project(problem.landmarks(), problem.motion.take(keys), problem.person.focal_px)
    boxes = torch.stack([box_of(points) for points in flat])
    cuts: list[NDArray[np.uint8]] = []
    for i, frame in enumerate(clip.frames(0, last + 1)):
        if i % 8 == 0:
            tick(i / (last + 1))
        if i in wanted:
            cuts.append(cut_picture(frame, boxes[wanted[i]], problem.size_px))
    return cuts, boxes


def _windows(
    problem: Problem, clip: ReferenceClip, model: FaceModel
) -> Iterator[tuple[int, slice, int, list[NDArray[np.uint8]], Tensor]]:
    """Windows: first frame, frames to be kept, end, face pictures of all its frames, boxes."""
    import torch

    total, focal = len(problem.valid), problem.person.focal_px
    frames = iter(clip.frames())
    cuts: list[NDArray[np.uint8]] = []
    boxes: list[Tensor] = []
    first = 0  # frame of cuts[0]
    for begin in range(0, total, WINDOW):
        end = min(begin + WINDOW, total)
        start, stop = max(begin - OVERLAP, 0), min(end + OVERLAP, total)
        ready = first + len(cuts)
        if stop > ready:
            flat = project(model, problem.motion.part(ready, stop), focal)
            for points in flat:
                boxes.append(box_of(points))
                cuts.append(cut_picture(next(frames), boxes[-1], problem.size_px))
        cuts, boxes, first = cuts[start - first :], boxes[start - first :], start
        yield start, slice(begin, end), stop, list(cuts), torch.stack(boxes)
