"""Settings of the speech features."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ..errors import InvalidInputError


@dataclass(frozen=True)
class MelConfig:
    """Whisper's log-mel spectrogram (Radford et al. 2022); the defaults are those of its published models."""

    sample_rate: int = 16000  # Hz
    bands: int = 80
    n_fft: int = 400  # samples, 25 ms
    hop: int = 160  # samples, 10 ms
    dynamic_range: float = 8.0  # decades kept below the loudest cell of a window


@dataclass(frozen=True)
class SpeechConfig:
    """The encoder, and the windows in which it hears the sound."""

    mel: MelConfig = dataclasses.field(default_factory=MelConfig)
    width: int = 512  # numbers per encoder frame (Whisper base)
    heads: int = 8
    layers: int = 3  # of Whisper base's six: layer 3 carries mouth shapes best and has no massive activations yet
    window_s: float = 8.0  # longest window; attention is quadratic in it and 8 s lost nothing against 30 s
    margin_s: float = 0.5  # thrown away at each end of a window, where context is missing
    batch: int = 2  # windows at once
    level: float = 0.5  # the sound is scaled so that its loud samples (99.9th percentile) reach this
    max_gain: float = 30.0  # but never amplified by more: what is nearly silent stays so
    max_seconds: float = 1800.0  # longer sound is refused

    def __post_init__(self) -> None:
        """Check the windows."""
        if not 0 < 2 * self.margin_s < self.window_s <= 30:
            raise InvalidInputError(
                f"SpeechConfig.window_s must lie between two margins and 30 s, got window {self.window_s} s, "
                f"margin {self.margin_s} s."
            )

    @property
    def frame_rate(self) -> int:
        """Encoder frames per second: two mel hops each."""
        return self.mel.sample_rate // (2 * self.mel.hop)

    @staticmethod
    def tiny() -> SpeechConfig:
        """A narrow encoder with one layer and short windows, for tests."""
        return SpeechConfig(width=32, heads=2, layers=1, window_s=2.0, margin_s=0.3, batch=2)
