"""Test frames tracked from their landmarks alone, with everything that is shared held at what the fit part gave."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import torch

from ..errors import NoFaceError
from ..progress import Progress
from ..tracking import TrackConfig, track_clip

if TYPE_CHECKING:
    from ..types import ReferenceClip, Track

_PER_FRAME = (
    "expression", "jaw_rad", "neck_rad", "eyes_rad", "rotation_rad", "translation_m", "valid", "error_px",
    "landmarks_px",
)  # fmt: skip


def track_held_out(clip: ReferenceClip, shared: Track, progress: Progress, device: str = "cpu") -> Track:
    """Pose, jaw, expression and gaze of frames that the fit has not seen.

    Shape, focal length and the offsets of this person's landmarks are those of `shared`; colours are not looked at.
    Frames without a face are marked; where there is none at all, all of them are.
    """
    # Every test frame with a face is scored, also a badly fitted one.
    config = dataclasses.replace(
        TrackConfig(), photometric=False, min_frames=1, min_run=1, max_lost_share=1.0, worst_error=math.inf
    )
    try:
        found = track_clip(clip, config, shared=shared, progress=progress, device=device)
    except NoFaceError:
        found = _lost(shared, clip.count)
    return dataclasses.replace(found, report="held-out frames, tracked from landmarks")


def _lost(shared: Track, count: int) -> Track:
    """A track without a single face."""
    first = dataclasses.replace(shared.slice(0, 1), valid=torch.zeros(1, dtype=torch.bool))
    return dataclasses.replace(shared, **{name: getattr(first, name)[[0] * count] for name in _PER_FRAME}, cuts=())
