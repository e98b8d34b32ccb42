"""The numbers behind reading, grading and writing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GradeConfig:
    """When a clip is called good, usable or poor."""

    good_seconds: float = 60.0  # the method asks for a few minutes; a minute covers most mouth shapes
    usable_seconds: float = 8.0
    good_side_px: int = 480  # short side
    usable_side_px: int = 256
    dark_luma: float = 45.0  # mean luma of 255 below which a frame is dark
    bright_luma: float = 215.0
    blurred_sharpness: float = 12.0  # variance of the Laplacian at 256 px on the long side
    cut_difference: float = 24.0  # mean luma step between two neighbouring 32 px thumbnails
    full_survey_px: int = 1_500_000_000  # decode every frame up to this many pixels, else key frames only
    max_survey_frames: int = 2_000
    min_readable_share: float = 0.1  # of the announced frames; with less the file is refused

    @classmethod
    def tiny(cls) -> GradeConfig:
        """For tests: everything from one second on is usable."""
        return cls(good_seconds=2.0, usable_seconds=0.5, good_side_px=64, usable_side_px=16)


@dataclass(frozen=True)
class WriteConfig:
    """How a video is written."""

    preset: str = "medium"  # x264
    audio_bit_rate: int = 192_000
    max_key_interval_s: float = 5.0  # seeking in a player, and what a broken download loses

    @classmethod
    def tiny(cls) -> WriteConfig:
        """For tests: the fastest."""
        return cls(preset="ultrafast")
