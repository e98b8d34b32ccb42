"""The clip in two parts that cannot see each other."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InvalidInputError
from ..types import AudioTrack, FrameSource, ReferenceClip
from .config import EvaluateConfig

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Part:
    """A FrameSource that holds the frames first..last of another one and refuses all others."""

    whole: FrameSource
    first: int
    last: int  # exclusive

    @property
    def count(self) -> int:
        """Number of frames in the part."""
        return self.last - self.first

    @property
    def size_px(self) -> tuple[int, int]:
        """Width, height."""
        return self.whole.size_px

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[NDArray[np.uint8]]:
        """The frames start..stop of the part. Raises InvalidInputError for what lies outside it."""
        stop = self.count if stop is None else stop
        if not 0 <= start <= stop <= self.count:
            raise InvalidInputError(f"This part has {self.count} frames; {start}..{stop} is not a range in it.")
        return self.whole.frames(self.first + start, self.first + stop)


def split(clip: ReferenceClip, config: EvaluateConfig) -> tuple[ReferenceClip, ReferenceClip]:
    """The first `int(n x 10/11)` frames, and the rest.

    Raises InvalidInputError where a part would be empty.
    """
    count = int(clip.count * config.fit_share)
    if count < 1 or count >= clip.count:
        raise InvalidInputError(f"'{clip.name}' has {clip.count} frames, too few to be split into fit and test.")
    return cut(clip, 0, count), cut(clip, count, clip.count)


def cut(clip: ReferenceClip, first: int, last: int) -> ReferenceClip:
    """The frames first..last as a clip of their own, with their sound."""
    audio = clip.audio
    if audio is not None:
        a, b = (round(i / clip.fps * audio.sample_rate) for i in (first, last))
        wave = audio.waveform[:, a:b]
        audio = AudioTrack(wave, audio.sample_rate) if wave.shape[1] else None
    return dataclasses.replace(
        clip,
        path=None,  # the file holds the other part too
        source=Part(clip.source, first, last),
        start_s=clip.start_s + float(first / clip.fps),
        duration_s=(last - first) / clip.fps,
        audio=audio,
    )
