"""What travels between the stages: frozen dataclasses, checked on construction.

Conventions (docs/conventions.md): metres, radians, seconds, pixels; head axes x to the person's left, y up, z to the
viewer; camera OpenCV (x right, y down, z forward); pixel centres at +0.5; quaternions wxyz; colours sRGB in [0, 1];
frame count = ceil(audio seconds * fps), fps a Fraction.

Parameters are float32 CPU tensors unless `.to()` moved them; frames are uint8 arrays [H, W, 3].
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from .errors import InvalidInputError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor

N_EXPRESSION = 50
N_LANDMARKS = 478
MAP_CHANNELS = 14

_T = TypeVar("_T")


def _check_shape(owner: object, name: str, value: Tensor | None, shape: tuple[int | None, ...]) -> None:
    """Raise InvalidInputError unless `value` has `shape`, where None stands for any length."""
    if value is None:
        return
    got = tuple(value.shape)
    if len(got) != len(shape) or any(w is not None and g != w for g, w in zip(got, shape)):
        wanted = "[" + ", ".join("*" if w is None else str(w) for w in shape) + "]"
        raise InvalidInputError(f"{type(owner).__name__}.{name} must have shape {wanted}, got {list(got)}.")


def _move(owner: _T, device: torch.device | str) -> _T:
    """A copy of a dataclass whose tensors (also those inside nested dataclasses) are on `device`."""
    import torch

    changes: dict[str, Any] = {}
    for item in dataclasses.fields(owner):  # type: ignore[arg-type]
        value = getattr(owner, item.name)
        if isinstance(value, torch.Tensor):
            changes[item.name] = value.to(device)
    return dataclasses.replace(owner, **changes)  # type: ignore[type-var]


def frame_count(seconds: float | Fraction, fps: Fraction) -> int:
    """Number of frames that cover `seconds`: ceil(seconds * fps), exact for Fractions (no drift)."""
    exact = Fraction(seconds).limit_denominator(10**9) * fps
    return max(0, math.ceil(exact))


@dataclass(frozen=True)
class AudioTrack:
    """Sound as it came in: never resampled on its way to the output file."""

    waveform: Tensor  # [C, S] float32 in [-1, 1]
    sample_rate: int  # Hz

    def __post_init__(self) -> None:
        """Check the shape and the rate."""
        _check_shape(self, "waveform", self.waveform, (None, None))
        if self.sample_rate <= 0:
            raise InvalidInputError(f"AudioTrack.sample_rate must be positive, got {self.sample_rate}.")

    @property
    def duration_s(self) -> Fraction:
        """Length in seconds, exact."""
        return Fraction(int(self.waveform.shape[1]), self.sample_rate)

    def mono(self) -> Tensor:
        """The mean of the channels, [S]."""
        return self.waveform.mean(dim=0)


@dataclass(frozen=True)
class ConsentRecord:
    """Who agreed to what; stored in the avatar and in every manifest."""

    basis: str  # "self", "written_consent", "licensed_dataset", "synthetic_person"
    statement: str  # free text of the person who states it
    date: str  # ISO 8601, the day of the statement
    expires: str | None = None  # ISO 8601; rendering refuses after that day


class FrameSource(Protocol):
    """Frames that can be asked for more than once; nothing is held in memory."""

    @property
    def count(self) -> int:
        """Number of frames."""
        ...

    @property
    def size_px(self) -> tuple[int, int]:
        """Width, height."""
        ...

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[NDArray[np.uint8]]:
        """Decode the frames start..stop in order, each [H, W, 3] sRGB."""
        ...


@dataclass(frozen=True)
class ClipReport:
    """The clip graded in words and numbers, for a person to read."""

    grade: str  # "good", "usable", "poor"
    notes: tuple[str, ...]  # full sentences, each a finding and what to do about it
    numbers: Mapping[str, float] = field(default_factory=dict[str, float])

    def text(self) -> str:
        """The report as a short text."""
        return "\n".join([f"Grade: {self.grade}", *(f"- {note}" for note in self.notes)])


@dataclass(frozen=True)
class ReferenceClip:
    """A trimmed stretch of a video, resampled to a constant frame rate, upright, read lazily."""

    path: Path | None  # None when the host handed over a stream
    name: str  # shown in messages
    source: FrameSource  # upright, trimmed, at `fps`, at `size_px`
    fps: Fraction
    start_s: float
    duration_s: Fraction
    audio: AudioTrack | None
    report: ClipReport
    sha256: str  # of the file's bytes
    consent: ConsentRecord | None = None

    @property
    def size_px(self) -> tuple[int, int]:
        """Width, height of the frames."""
        return self.source.size_px

    @property
    def count(self) -> int:
        """Number of frames."""
        return self.source.count

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[NDArray[np.uint8]]:
        """The frames start..stop, each [H, W, 3] sRGB."""
        return self.source.frames(start, stop)


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

    def __post_init__(self) -> None:
        """Check that all per-frame tensors agree."""
        t = int(self.expression.shape[0])
        _check_shape(self, "shape", self.shape, (None,))
        for name, width in (
            ("expression", N_EXPRESSION), ("jaw_rad", 3), ("neck_rad", 3), ("eyes_rad", 6),
            ("rotation_rad", 3), ("translation_m", 3),
        ):  # fmt: skip
            _check_shape(self, name, getattr(self, name), (t, width))
        _check_shape(self, "intrinsics_px", self.intrinsics_px, (3, 3))
        _check_shape(self, "valid", self.valid, (t,))
        _check_shape(self, "error_px", self.error_px, (t,))
        _check_shape(self, "landmarks_px", self.landmarks_px, (t, N_LANDMARKS, 2))

    @property
    def count(self) -> int:
        """Number of frames."""
        return int(self.expression.shape[0])

    def to(self, device: torch.device | str) -> Track:
        """The same track with its tensors on `device`."""
        return _move(self, device)

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
            _check_shape(self, name, value, (t, width))
            if value is not None and not bool(value.isfinite().all()):
                raise InvalidInputError(f"MotionTrack.{name} holds values that are not finite.")

    @property
    def count(self) -> int:
        """Number of frames."""
        return int(self.expression.shape[0])

    def to(self, device: torch.device | str) -> MotionTrack:
        """The same motion with its tensors on `device`."""
        return _move(self, device)

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


@dataclass(frozen=True)
class Gaussians:
    """What a rasteriser takes. B = frames; a leading 1 broadcasts over the frames."""

    means: Tensor  # [B, N, 3] metres, world
    quats: Tensor  # [B, N, 4] wxyz, need not be normalised
    scales: Tensor  # [B, N, 3] linear, metres
    opacities: Tensor  # [B, N] in [0, 1]
    colors: Tensor  # [B, N, 3] sRGB, may leave [0, 1] during training

    def __post_init__(self) -> None:
        """Check the shapes."""
        n = int(self.means.shape[1]) if self.means.ndim == 3 else -1
        _check_shape(self, "means", self.means, (None, None, 3))
        _check_shape(self, "quats", self.quats, (None, n, 4))
        _check_shape(self, "scales", self.scales, (None, n, 3))
        _check_shape(self, "opacities", self.opacities, (None, n))
        _check_shape(self, "colors", self.colors, (None, n, 3))

    def to(self, device: torch.device | str) -> Gaussians:
        """The same Gaussians on `device`."""
        return _move(self, device)


@dataclass(frozen=True)
class Camera:
    """Pinhole cameras, one per frame (a leading 1 broadcasts)."""

    viewmat: Tensor  # [B, 4, 4] world to camera, OpenCV
    intrinsics_px: Tensor  # [B, 3, 3]
    width: int
    height: int
    near_m: float = 0.01
    far_m: float = 1e10

    def __post_init__(self) -> None:
        """Check the shapes and the size."""
        _check_shape(self, "viewmat", self.viewmat, (None, 4, 4))
        _check_shape(self, "intrinsics_px", self.intrinsics_px, (None, 3, 3))
        if self.width < 1 or self.height < 1:
            raise InvalidInputError(f"Camera size must be positive, got {self.width}x{self.height}.")

    def to(self, device: torch.device | str) -> Camera:
        """The same cameras on `device`."""
        return _move(self, device)


@dataclass(frozen=True)
class Rendered:
    """What a rasteriser gives: colour over the background, and coverage."""

    rgb: Tensor  # [B, H, W, 3]
    alpha: Tensor  # [B, H, W, 1]


@dataclass(frozen=True)
class SpeakingStyle:
    """How this person speaks: the rest pose of the mouth and gains on the prior's output (motion relative to rest)."""

    rest_expression: Tensor  # [50]
    rest_jaw_rad: Tensor  # [3]
    mouth_gain: float = 1.0
    jaw_gain: float = 1.0
    token: Tensor | None = None  # [64] style token of the bundled prior; None = its plain manner

    def __post_init__(self) -> None:
        """Check the shapes."""
        _check_shape(self, "rest_expression", self.rest_expression, (N_EXPRESSION,))
        if self.token is not None:
            _check_shape(self, "token", self.token, (None,))
        _check_shape(self, "rest_jaw_rad", self.rest_jaw_rad, (3,))


@dataclass(frozen=True)
class BodyLoop:
    """A short stretch of the clip into which the head is set back: encoded frames, masks and the head motion."""

    frames_jpeg: tuple[bytes, ...]  # T JPEG images, sRGB
    mattes_png: tuple[bytes, ...]  # T 8-bit grey PNG images: the person, head and body
    plate_jpeg: bytes | None  # the background without the person, where it could be found
    track: Track  # T frames, same camera as the avatar
    fps: Fraction

    def __post_init__(self) -> None:
        """Check the lengths."""
        t = self.track.count
        if len(self.frames_jpeg) != t or len(self.mattes_png) != t:
            raise InvalidInputError(
                f"BodyLoop needs one image and one matte per tracked frame, got {len(self.frames_jpeg)} images, "
                f"{len(self.mattes_png)} mattes, {t} frames."
            )

    @property
    def count(self) -> int:
        """Number of frames."""
        return self.track.count

    def frame_at(self, index: int, fps: Fraction) -> int:
        """The loop frame under frame `index` of a video at `fps`: there and back again, so that nothing jumps."""
        step = index if fps == self.fps else math.floor(index * self.fps / fps)
        period = max(2 * (self.count - 1), 1)
        step %= period
        return step if step < self.count else period - step


@dataclass(frozen=True)
class AvatarInfo:
    """What an avatar file says of itself, as strings and numbers (JSON in the file's metadata)."""

    name: str
    created: str  # ISO 8601
    pack_version: str
    clip_sha256: str
    preset: str
    stages_done: tuple[str, ...]
    watermark_id: str  # 16 hex digits
    consent: ConsentRecord | None
    license: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    prior_sha256: str = ""


@dataclass(frozen=True)
class Avatar:
    """A person: Gaussian map on the head's UV page, head shape, speaking style, body loop.

    Map channels (paper's order): 0-2 offset in the triangle frame [m], 3-5 log scale [m], 6-9 quaternion wxyz,
    10-12 colour (sRGB), 13 opacity logit. Texels outside the UV chart are zero and unused.
    """

    head_model: str
    shape: Tensor  # [S]
    offset_m: Tensor  # [V, 3] static per-vertex offset (hair)
    gaussian_map: Tensor  # [14, S, S]
    color_mlp: Mapping[str, Tensor] | None
    style: SpeakingStyle
    body: BodyLoop
    intrinsics_px: Tensor  # [3, 3]
    size_px: tuple[int, int]
    thumbnail: NDArray[np.uint8]  # [H, W, 3]
    info: AvatarInfo
    inpainter: Mapping[str, Tensor] | None = None  # weights of the Body Inpainter; None = heads are set back without

    def __post_init__(self) -> None:
        """Check the map."""
        _check_shape(self, "gaussian_map", self.gaussian_map, (MAP_CHANNELS, None, None))
        _check_shape(self, "offset_m", self.offset_m, (None, 3))
        if self.gaussian_map.shape[1] != self.gaussian_map.shape[2]:
            raise InvalidInputError(f"Avatar.gaussian_map must be square, got {list(self.gaussian_map.shape)}.")

    @property
    def uv_size(self) -> int:
        """Texels along one side of the map."""
        return int(self.gaussian_map.shape[1])


@dataclass(frozen=True)
class RgbaFrame:
    """One frame on its way to the video."""

    rgb: NDArray[np.uint8]  # [H, W, 3] sRGB, over black where alpha < 255 (premultiplied)
    alpha: NDArray[np.uint8] | None = None  # [H, W]; None = opaque


class RgbaSource(Protocol):
    """Generated frames that can be asked for more than once; rendered when asked for."""

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[RgbaFrame]:
        """The frames start..stop in order."""
        ...


@dataclass(frozen=True)
class TalkingVideo:
    """A lazy video: frames are made when somebody pulls them; also a ComfyUI VIDEO once the node layer wraps it."""

    source: RgbaSource
    count: int
    size_px: tuple[int, int]
    fps: Fraction
    audio: AudioTrack | None
    avatar: Avatar | None = None  # what the frames show, for the stages that follow
    motion: MotionTrack | None = None
    marks: Mapping[str, str] = field(default_factory=dict[str, str])  # metadata to be written into the file

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[RgbaFrame]:
        """The frames start..stop in order."""
        return self.source.frames(start, stop)
