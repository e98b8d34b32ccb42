"""Test frames tracked from their landmarks alone, with everything that is shared held at what the fit part gave."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch

from ..head import load_head
from ..head.pose import matrix_to_axis_angle
from ..progress import Progress, SubProgress
from ..tracking import FaceFinder, TrackConfig
from ..tracking.face_model import FaceModel, face_model
from ..tracking.fit import Fitted, Landmarks, fit_landmarks
from ..tracking.identity_fit import Person
from ..tracking.networks.face_mesh import N_MESH
from ..tracking.solver import Motion
from ..tracking.start import first_motion

if TYPE_CHECKING:
    from torch import Tensor

    from ..head import HeadModel
    from ..types import ReferenceClip, Track

_EXTRA_ITERATIONS = 4  # the motion starts from a face at rest, not from keyframes


def track_held_out(clip: ReferenceClip, shared: Track, progress: Progress, device: str = "cpu") -> Track:
    """Pose, jaw, expression and gaze of frames that the fit has not seen.

    Shape and focal length are those of `shared`; the offsets of this person's landmarks are found again from its
    landmarks. Frames without a face are marked; where there is none at all, all of them are.
    """
    found = FaceFinder(device).detect_landmarks(clip.frames(), total=clip.count, progress=SubProgress(progress, 0, 0.8))
    if not bool(found.valid.any()):
        still = [0] * clip.count
        lost = dataclasses.replace(shared.slice(0, 1), valid=torch.zeros(1, dtype=torch.bool))
        names = ("expression", "jaw_rad", "neck_rad", "eyes_rad", "rotation_rad", "translation_m", "valid", "error_px")
        changes = {name: getattr(lost, name)[still] for name in (*names, "landmarks_px")}
        return dataclasses.replace(lost, **changes)
    head, config = load_head(shared.head_model), TrackConfig()
    person = fitted_person(head, shared, config)
    joined = torch.ones(max(clip.count - 1, 0), dtype=torch.bool)
    joined[[cut - 1 for cut in found.cuts]] = False
    landmarks = Landmarks(found.landmarks_px, found.valid, joined, clip.size_px)
    model = face_model(head, torch.arange(N_MESH)).personal(person.shape, person.bias_m)
    start = _start(model, landmarks, person)
    config = dataclasses.replace(config, motion_iterations=config.motion_iterations + _EXTRA_ITERATIONS)
    fitted = fit_landmarks(head, landmarks, config, start=start, tick=lambda x: progress(800 + round(200 * x), 1000))
    return dataclasses.replace(
        shared,
        expression=fitted.motion.expression,
        jaw_rad=fitted.motion.jaw_rad,
        neck_rad=torch.zeros(clip.count, 3),
        eyes_rad=fitted.eyes_rad,
        rotation_rad=matrix_to_axis_angle(fitted.motion.rotation),
        translation_m=fitted.motion.translation_m,
        valid=found.valid,
        error_px=fitted.error_px.mean(1) * found.valid,
        landmarks_px=found.landmarks_px,
        report="held-out frames, tracked from landmarks",
    )


def fitted_person(head: HeadModel, track: Track, config: TrackConfig) -> Person:
    """What a track shares over its frames, as the solver wants it."""
    joined = torch.ones(max(track.count - 1, 0), dtype=torch.bool)
    landmarks = Landmarks(track.landmarks_px, track.valid, joined, track.size_px)
    again = fit_landmarks(head, landmarks, dataclasses.replace(config, motion_iterations=1)).person
    shape = track.shape[: len(again.shape)]
    return Person(shape, float(track.intrinsics_px[0, 0]), again.bias_m)


def _start(model: FaceModel, landmarks: Landmarks, person: Person) -> Fitted:
    """A first pose for every frame; frames without a face stand where the nearest one with a face does."""
    points = landmarks.centred_px[:, :N_MESH]
    motion: Motion = first_motion(model.mean_m.sum(0), points, person.focal_px)
    good = landmarks.valid.nonzero().flatten()
    frames = torch.arange(len(points))
    nearest: Tensor = good[(frames[:, None] - good[None]).abs().argmin(1)]
    return Fitted(person, motion.take(nearest), points.new_zeros(len(points), 6), points[..., 0], points)
