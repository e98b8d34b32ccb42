"""Sound."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from ..errors import InvalidInputError
from .checks import check_shape

if TYPE_CHECKING:
    from torch import Tensor


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
        check_shape(self, "waveform", self.waveform, (None, None))
        if self.sample_rate <= 0:
            raise InvalidInputError(f"AudioTrack.sample_rate must be positive, got {self.sample_rate}.")

    @property
    def duration_s(self) -> Fraction:
        """Length in seconds, exact."""
        return Fraction(int(self.waveform.shape[1]), self.sample_rate)

    def mono(self) -> Tensor:
        """The mean of the channels, [S]."""
        return self.waveform.mean(dim=0)
