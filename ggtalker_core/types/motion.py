"""Head parameters over time: measured from a clip, or driving an avatar."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ..errors import InvalidInputError
from .checks import N_EXPRESSION, N_LANDMARKS, check_shape, moved
from .sound import AudioTrack

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Track:
    """A head model fitted to every frame of a clip. Head to camera: x_cam = R(rotation) x_head + translation."""

    head_model: str
    shape: Tensor  # [S]
    expression: Tensor  # [T, 50]
    jaw_rad: Tensor  # [T, 3] axis-angle
    neck_rad: Tensor  # [T, 3] axis-angle
    eyes_rad: Tensor  # [T, 6] axis-angle, left eye then right eye (the person's left)
    rotation_rad: Tensor  # [T, 3] axis-angle, head axes to OpenCV camera axes (near pi about x when frontal)
    translation_m: Tensor  # [T, 3]
    intrinsics_px: Tensor  # [3, 3]
    size_px: tuple[int, int]  # width, height
    fps: Fraction
    valid: Tensor  # [T] bool: a face was seen; the rest is interpolated
    error_px: Tensor  # [T] mean landmark error
    landmarks_px: Tensor  # [T, 478, 2] detected (interpolated where not valid)
    clip_sha256: str
    light: Tensor | None = None  # [9, 3] spherical harmonics
    offset_m: Tensor | None = None  # [V, 3] static per-vertex offset in head axes
    report: str = ""
    cuts: tuple[int, ...] = ()  # first frames of new shots
    bias_m: Tensor | None = None  # [468, 3] how far this person's landmarks lie from their usual places, head axes
    albedo: Tensor | None = None  # [N, 3] of the skin samples (tracking/skin.py), where colours were fitted
    mesh_turn_rad: Tensor | None = None  # [3] how much further the mesh's depth turns this head (tracking/mesh_pose.py)

    def __post_init__(self) -> None:
        """Check that all per-frame tensors agree."""
        t = int(self.expression.shape[0])
        check_shape(self, "shape", self.shape, (None,))
        for name, width in (
            ("expression", N_EXPRESSION), ("jaw_rad", 3), ("neck_rad", 3), ("eyes_rad", 6),
            ("rotation_rad", 3), ("translation_m", 3),
        ):  # fmt: skip
            check_shape(self, name, getattr(self, name), (t, width))
        check_shape(self, "intrinsics_px", self.intrinsics_px, (3, 3))
        check_shape(self, "valid", self.valid, (t,))
        check_shape(self, "error_px", self.error_px, (t,))
        check_shape(self, "landmarks_px", self.landmarks_px, (t, N_LANDMARKS, 2))
        if self.mesh_turn_rad is not None:
            check_shape(self, "mesh_turn_rad", self.mesh_turn_rad, (3,))

    @property
    def count(self) -> int:
        """Number of frames."""
        return int(self.expression.shape[0])

    def to(self, device: torch.device | str) -> Track:
        """The same track with its tensors on `device`."""
        return moved(self, device)

    def slice(self, start: int, stop: int) -> Track:
        """The frames start..stop."""
        names = (
            "expression", "jaw_rad", "neck_rad", "eyes_rad", "rotation_rad", "translation_m",
            "valid", "error_px", "landmarks_px",
        )  # fmt: skip
        return dataclasses.replace(self, **{n: getattr(self, n)[start:stop] for n in names})

    def to_motion(self) -> MotionTrack:
        """The motion alone: any tracked clip can drive any avatar."""
        return MotionTrack(
            expression=self.expression, jaw_rad=self.jaw_rad, fps=self.fps, eyes_rad=self.eyes_rad,
            rotation_rad=self.rotation_rad, translation_m=self.translation_m, covers_upper_face=True,
        )  # fmt: skip


@dataclass(frozen=True)
class MotionTrack:
    """What drives an avatar: the paper's 53 numbers per frame, and optionally eyes and head pose.

    What is None is taken from the avatar's own body loop. `covers_upper_face` says whether `expression` also holds
    brows and lids (a re-enactment) or only the mouth (speech): in the second case the avatar's loop supplies them.
    """

    expression: Tensor  # [T, 50]
    jaw_rad: Tensor  # [T, 3]
    fps: Fraction
    eyes_rad: Tensor | None = None  # [T, 6]
    eyelids: Tensor | None = None  # [T, 2] closure in [0, 1], left then right
    rotation_rad: Tensor | None = None  # [T, 3]
    translation_m: Tensor | None = None  # [T, 3]
    covers_upper_face: bool = False
    audio: AudioTrack | None = None

    def __post_init__(self) -> None:
        """Check that all tensors agree and are finite."""
        t = int(self.expression.shape[0])
        for name, width in (
            ("expression", N_EXPRESSION), ("jaw_rad", 3), ("eyes_rad", 6), ("eyelids", 2),
            ("rotation_rad", 3), ("translation_m", 3),
        ):  # fmt: skip
            value: Tensor | None = getattr(self, name)
            check_shape(self, name, value, (t, width))
            if value is not None and not bool(value.isfinite().all()):
                raise InvalidInputError(f"MotionTrack.{name} holds values that are not finite.")

    @property
    def count(self) -> int:
        """Number of frames."""
        return int(self.expression.shape[0])

    def to(self, device: torch.device | str) -> MotionTrack:
        """The same motion with its tensors on `device`."""
        return moved(self, device)

    def slice(self, start: int, stop: int) -> MotionTrack:
        """The frames start..stop; the audio is cut to match."""
        names = ("expression", "jaw_rad", "eyes_rad", "eyelids", "rotation_rad", "translation_m")
        cut: dict[str, Any] = {}
        for name in names:
            value: Tensor | None = getattr(self, name)
            cut[name] = None if value is None else value[start:stop]
        if self.audio is not None:
            rate = self.audio.sample_rate
            a, b = (round(Fraction(i) / self.fps * rate) for i in (start, stop))
            cut["audio"] = AudioTrack(self.audio.waveform[:, a:b], rate)
        return dataclasses.replace(self, **cut)
