"""The person as data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from ..errors import InvalidInputError
from .checks import MAP_CHANNELS, N_EXPRESSION, check_shape
from .clip import ConsentRecord
from .motion import Track

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(frozen=True)
class SpeakingStyle:
    """How this person speaks: the rest pose of the mouth and gains on the prior's output (motion relative to rest).

    `mouth_gain` scales what opens the mouth, not what rounds or spreads it.
    """

    rest_expression: Tensor  # [50]
    rest_jaw_rad: Tensor  # [3]
    mouth_gain: float = 1.0
    jaw_gain: float = 1.0
    token: Tensor | None = None  # [64] style token of the bundled prior; None = its plain manner

    def __post_init__(self) -> None:
        """Check the shapes."""
        check_shape(self, "rest_expression", self.rest_expression, (N_EXPRESSION,))
        if self.token is not None:
            check_shape(self, "token", self.token, (None,))
        check_shape(self, "rest_jaw_rad", self.rest_jaw_rad, (3,))


@dataclass(frozen=True)
class BodyLoop:
    """A short stretch of the clip into which the head is set back: encoded frames, masks and the head motion."""

    frames_jpeg: tuple[bytes, ...]  # T JPEG images, sRGB
    mattes_png: tuple[bytes, ...]  # T 8-bit grey PNG images: the person, head and body
    plate_jpeg: bytes | None  # the background without the person, where it could be found
    track: Track  # T frames, same camera as the avatar
    fps: Fraction
    log_gain: Tensor | None = None  # [T, 3] exposure of the frames: the head's colours times exp of it; None = even

    def __post_init__(self) -> None:
        """Check the lengths."""
        t = self.track.count
        if len(self.frames_jpeg) != t or len(self.mattes_png) != t:
            raise InvalidInputError(
                f"BodyLoop needs one image and one matte per tracked frame, got {len(self.frames_jpeg)} images, "
                f"{len(self.mattes_png)} mattes, {t} frames."
            )

        if self.log_gain is not None:
            check_shape(self, "log_gain", self.log_gain, (t, 3))

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
class HairSway:
    """How hair follows the head's pose otherwise than the skull: offsets per unit of six numbers of the pose."""

    basis_m: Tensor  # [6, V, 3] head axes, per unit of turn about the camera's x, y, z and of place along x, y, z
    rotation_rad: Tensor  # [3] the pose at which the offset vanishes
    translation_m: Tensor  # [3]
    scale: Tensor  # [6] one unit, in radians and metres

    def __post_init__(self) -> None:
        """Check the shapes."""
        check_shape(self, "basis_m", self.basis_m, (6, None, 3))
        check_shape(self, "rotation_rad", self.rotation_rad, (3,))
        check_shape(self, "translation_m", self.translation_m, (3,))
        check_shape(self, "scale", self.scale, (6,))

    def to(self, device: torch.device | str) -> HairSway:
        """The same on `device`."""
        parts = (self.basis_m, self.rotation_rad, self.translation_m, self.scale)
        return HairSway(*(part.to(device) for part in parts))


@dataclass(frozen=True)
class StageRecord:
    """What one stage of an adaptation did, and what it brought on frames that were kept out of the fit."""

    name: str
    steps: int  # done
    of: int  # wanted; fewer were done where the stage was interrupted
    seconds: float
    held_out_psnr_db: float | None = None  # inside the head, after the stage; None: no frame was kept out
    errors: tuple[float, ...] = ()  # the error over the stage, in even parts, oldest first

    def __post_init__(self) -> None:
        """Check that it was no more than wanted."""
        if not 0 <= self.steps <= self.of:
            raise InvalidInputError(f"StageRecord '{self.name}' has {self.steps} steps of {self.of}.")


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
    history: tuple[StageRecord, ...] = ()  # of all runs that made this avatar, oldest first
    notes: tuple[str, ...] = ()  # what the user should know of how it was made


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
    hair_sway: HairSway | None = None  # None = hair moves with the skull

    def __post_init__(self) -> None:
        """Check the map."""
        check_shape(self, "gaussian_map", self.gaussian_map, (MAP_CHANNELS, None, None))
        check_shape(self, "offset_m", self.offset_m, (None, 3))
        if self.gaussian_map.shape[1] != self.gaussian_map.shape[2]:
            raise InvalidInputError(f"Avatar.gaussian_map must be square, got {list(self.gaussian_map.shape)}.")

    @property
    def uv_size(self) -> int:
        """Texels along one side of the map."""
        return int(self.gaussian_map.shape[1])
