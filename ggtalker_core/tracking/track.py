"""track_clip: a clip becomes a Track, with a report in words."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InvalidInputError, NoFaceError
from ..head.pose import matrix_to_axis_angle
from ..progress import Progress, SubProgress, silent
from ..types import N_LANDMARKS, ReferenceClip, Track
from .config import TrackConfig
from .finder import FaceFinder, FoundFaces
from .fit import Fitted, Landmarks, fit_landmarks, refined
from .people import Shot, breaks_of, shots_of
from .refine import Look
from .report import Findings, frame_ranges, report_text
from .row_store import RowStore, blocks
from .shared_person import known_look, known_person, last_seen
from .topology import N_MESH
from .unwrap import unwrapped

if TYPE_CHECKING:
    from torch import Tensor

    from ..head import HeadModel

_FINDING, _FINDING_FULL = 0.7, 0.3  # shares of the progress bar
_BLOCK = 1024  # frames looked at together


@dataclass(frozen=True)
class _Usable:
    """Landmarks with the frames that count, and why the others do not."""

    landmarks: Landmarks
    seen: Tensor  # [T] bool: a face was found, whoever's
    shots: tuple[Shot, ...]
    cuts: tuple[int, ...]
    faces: int  # most faces seen in one frame


def track_clip(
    clip: ReferenceClip, config: TrackConfig | None = None, *, landmarks: Tensor | FoundFaces | None = None,
    head: HeadModel | None = None, shared: Track | None = None, progress: Progress = silent, device: str = "cpu",
) -> Track:  # fmt: skip
    """Fit a head to every frame of `clip`.

    landmarks: [T, 478, 2] in pixels of the clip's frames, where the host has them already; frames whose points are
    not finite or all zero count as without a face. Or what a FaceFinder found in these very frames.
    `head` defaults to the bundled one. `progress` may raise to cancel.
    shared: a track of the same person and camera, whose shape, focal length, offsets and skin colours are kept: only
    pose, jaw, expression and gaze are found (held-out frames; another take of the same set-up). Where several faces
    are seen, the one at its last place is followed.
    `device` runs the networks; the fit is small and stays on the CPU.

    Raises NoFaceError when too few frames show a usable face, InvalidInputError for landmarks of a wrong shape.
    """
    from ..head import load_head

    config = config or TrackConfig()
    head = head or load_head("default" if shared is None else shared.head_model)
    finding = _FINDING_FULL if config.photometric else _FINDING
    if isinstance(landmarks, FoundFaces):
        usable = _usable(landmarks, clip.size_px, config)
    elif landmarks is None:
        looking = SubProgress(progress, 0.0, finding)
        found = face_finder(config, device).detect_landmarks(
            clip.frames(), total=clip.count, progress=looking, near_px=None if shared is None else last_seen(shared)
        )
        usable = _usable(found, clip.size_px, config)
    else:
        usable = _given(landmarks, clip)
    _require_faces(usable, clip, config)
    until = finding + (1 - finding) * (0.3 if config.photometric else 1.0)
    tell = SubProgress(progress, finding, until)

    def tick(x: float) -> None:
        tell(round(x * 100), 100, "fitting the head")

    start = None if shared is None else known_person(head, usable.landmarks, shared, config)
    steps = config if start is None else dataclasses.replace(config, motion_iterations=config.motion_iterations + 4)
    fitted = fit_landmarks(head, usable.landmarks, steps, tick=lambda x: tick(0.8 * x), start=start)
    poor = _poor(fitted, usable.landmarks, config)
    if bool(poor.any()):
        kept = dataclasses.replace(usable.landmarks, valid=usable.landmarks.valid & ~poor)
        usable = dataclasses.replace(usable, landmarks=kept)
        _require_faces(usable, clip, config)
        fitted = fit_landmarks(head, kept, config, start=fitted)
    tick(1.0)
    look = None
    if config.photometric:
        ask = SubProgress(progress, until, 1.0)
        fitted, look = refined(
            head, usable.landmarks, fitted, config, clip, known=None if shared is None else known_look(shared),
            tick=lambda x: ask(round(x * 100), 100, "matching the skin's colours"),
        )  # fmt: skip
    progress(100, 100, "fitting the head")
    return _track(clip, head, usable, fitted, look, int(poor.sum()))


def face_finder(config: TrackConfig, device: str = "cpu") -> FaceFinder:
    """The finder that `track_clip` uses with these settings. Raises MissingWeightsError without the bundled weights."""
    return FaceFinder(
        device, min_detection=config.min_detection, min_presence=config.min_presence, views=config.views,
        flow=config.flow,
    )  # fmt: skip


def _usable(found: FoundFaces, size_px: tuple[int, int], config: TrackConfig) -> _Usable:
    """Keep the frames of the person who is seen most, in stretches that are no mistakes."""
    import torch

    breaks = breaks_of(found.landmarks_px[:, :N_MESH].numpy(), found.valid.numpy(), found.let_go) | set(found.cuts)
    shots = shots_of(breaks, found.valid.numpy(), found.portraits, found.let_go)
    valid = found.valid.clone()
    for shot in shots:
        if shot.person != 0:
            valid[shot.start : shot.stop] = False
    valid = _without_short_runs(valid, config.min_run)
    joined = torch.ones(max(len(valid) - 1, 0), dtype=torch.bool)
    for cut in found.cuts:
        joined[cut - 1] = False
    faces = int(found.faces_seen.max()) if len(found.faces_seen) else 0
    landmarks = Landmarks(found.landmarks_px, valid, joined, size_px, found.let_go, found.mesh_rotation)
    return _Usable(landmarks, found.valid, tuple(shots), found.cuts, faces)


def _given(landmarks: Tensor, clip: ReferenceClip) -> _Usable:
    """Landmarks that came from elsewhere: one shot, one person."""
    import torch

    if landmarks.ndim != 3 or tuple(landmarks.shape[1:]) != (N_LANDMARKS, 2):
        raise InvalidInputError(f"landmarks must be [T, {N_LANDMARKS}, 2] in pixels, got {list(landmarks.shape)}.")
    if len(landmarks) != clip.count:
        raise InvalidInputError(
            f"'{clip.name}' has {clip.count} frames but landmarks were given for {len(landmarks)}: "
            "detect them on the frames of this very clip (same trim, same frame rate)."
        )
    pieces = landmarks.split(_BLOCK)  # a long clip's landmarks are not copied as a whole
    finite = torch.cat([b.isfinite().flatten(1).all(1) for b in pieces])
    valid = finite & torch.cat([b.nan_to_num().flatten(1).abs().amax(1) > 0 for b in pieces])
    points = landmarks.float()
    if not bool(valid.all()):
        points = torch.where(valid[:, None, None], points, torch.zeros_like(points))
    joined = torch.ones(max(len(valid) - 1, 0), dtype=torch.bool)
    return _Usable(Landmarks(points, valid, joined, clip.size_px), valid, (Shot(0, len(valid), 0),), (), 1)


def _without_short_runs(valid: Tensor, shortest: int) -> Tensor:
    """Drop stretches of fewer than `shortest` frames with a face."""
    out = valid.clone()
    start = None
    for i, good in enumerate([*valid.tolist(), False]):
        if good and start is None:
            start = i
        elif not good and start is not None:
            if i - start < min(shortest, len(valid)):
                out[start:i] = False
            start = None
    return out


def _require_faces(usable: _Usable, clip: ReferenceClip, config: TrackConfig) -> None:
    """Raise NoFaceError where too little is left to fit."""
    valid = usable.landmarks.valid
    good, total = int(valid.sum()), len(valid)
    if good == 0:
        raise NoFaceError(
            f"'{clip.name}': no face was found in any of its {total} frames. Use a clip in which one face is in "
            "view, upright and at least a tenth of the picture high; see the capture guide."
        )
    lost = 1 - good / total
    if good < min(config.min_frames, total) or lost > config.max_lost_share:
        where = frame_ranges(~valid, clip.fps)
        raise NoFaceError(
            f"'{clip.name}': a usable face in only {good} of {total} frames ({lost:.0%} without). Without: {where}. "
            f"Trim the clip to the part with the face: at least {1 - config.max_lost_share:.0%} of it must show one."
        )


def _poor(fitted: Fitted, landmarks: Landmarks, config: TrackConfig) -> Tensor:
    """Frames [T] whose landmarks no head explains: what was found there is not the face."""
    percent = fitted.mean_error_px() / landmarks.iod_px() * 100
    return landmarks.valid & (percent > config.worst_error)


def _track(
    clip: ReferenceClip, head: HeadModel, usable: _Usable, fitted: Fitted, look: Look | None, poor: int
) -> Track:
    """Put the fit into the travelling form."""
    import torch

    landmarks, valid = usable.landmarks, usable.landmarks.valid
    error = torch.where(valid, fitted.mean_error_px(), torch.zeros(len(valid)))
    focal = fitted.person.focal_px
    width, height = landmarks.size_px
    intrinsics = torch.tensor([[focal, 0.0, width / 2], [0.0, focal, height / 2], [0.0, 0.0, 1.0]])
    findings = Findings(
        name=clip.name, fps=clip.fps, size_px=landmarks.size_px, valid=valid, seen=usable.seen,
        shots=usable.shots, cuts=usable.cuts, faces=usable.faces, poor=poor, focal_px=focal, iod_px=landmarks.iod_px(),
        error_px=fitted.error_px,
    )  # fmt: skip
    return Track(
        head_model=head.name,
        shape=_padded(fitted.person.shape, head.n_shape),
        expression=fitted.motion.expression,
        jaw_rad=fitted.motion.jaw_rad,
        neck_rad=torch.zeros_like(fitted.motion.jaw_rad),
        eyes_rad=fitted.eyes_rad,
        rotation_rad=unwrapped(matrix_to_axis_angle(fitted.motion.rotation)),
        translation_m=fitted.motion.translation_m,
        intrinsics_px=intrinsics,
        size_px=landmarks.size_px,
        fps=clip.fps,
        valid=valid,
        error_px=error,
        landmarks_px=_bridged(landmarks),
        clip_sha256=clip.sha256,
        light=None if look is None else look.appearance.light,
        offset_m=None if look is None else look.offset_m,
        report=report_text(findings),
        cuts=usable.cuts,
        bias_m=fitted.person.bias_m,
        mesh_turn_rad=fitted.person.mesh_turn_rad,
        albedo=None if look is None else look.appearance.albedo,
    )


def _padded(shape: Tensor, width: int) -> Tensor:
    import torch

    return torch.nn.functional.pad(shape, (0, width - len(shape)))


def _bridged(landmarks: Landmarks) -> Tensor:
    """Landmarks [T, 478, 2] with frames that are not valid put on the straight line between their neighbours."""
    import numpy as np
    import torch

    points, valid = landmarks.points_px, landmarks.valid
    if bool(valid.all()):
        return points
    good = valid.nonzero()[:, 0]
    out = RowStore(tuple(points.shape[1:]), np.float32)
    for start, stop in blocks(len(points)):
        own = points[start:stop].clone()
        frames = start + (~valid[start:stop]).nonzero()[:, 0]
        after = torch.searchsorted(good, frames).clamp(max=len(good) - 1)
        before = (after - (good[after] > frames).long()).clamp(min=0)
        a, b = good[before], good[after]
        share = ((frames - a).float() / (b - a).clamp(min=1)).clamp(0, 1)[:, None, None]
        own[frames - start] = points[a] * (1 - share) + points[b] * share
        out.add(own.numpy())
        landmarks.let_go()
    return out.rows().values
