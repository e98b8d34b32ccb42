"""The clip and what was found in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from .sound import AudioTrack

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
