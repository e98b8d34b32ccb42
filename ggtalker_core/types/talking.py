"""Generated frames on their way into a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol

from .avatar import Avatar
from .motion import MotionTrack
from .sound import AudioTrack

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
