"""The constants of the mark and the settings of label and marking."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import InvalidInputError

PUBLIC_KEY = "ggtalker-public-1"  # anybody can read, and imitate, marks made with it


@dataclass(frozen=True)
class MarkFormat:
    """Numbers that writer and reader must share: a change of any of them makes old marks unreadable."""

    tile_px: int = 128
    shortest_wavelength_px: float = 6.5  # shorter ones die in strong compression,
    longest_wavelength_px: float = 26.0  # longer ones are seen
    reference_side_px: int = 512  # frames with a longer short side carry the pattern enlarged
    minimum_side_px: int = 128  # one tile
    pilot: float = 8.0  # amplitude beside the 324 coded bits of amplitude 1: 16 % of the energy

    def scale(self, size_px: tuple[int, int]) -> float:
        """Enlargement of the pattern on frames of `size_px` (width, height)."""
        return max(1.0, min(size_px) / self.reference_side_px)


FORMAT = MarkFormat()


@dataclass(frozen=True)
class EmbedConfig:
    """How strongly and how exactly the mark is written."""

    strength: float = 1.0  # 1.0 keeps PSNR at 42 dB or more; each 1.12 costs 1 dB
    floor_levels: float = 0.62  # amplitude (rms, grey levels of 255) on flat surfaces
    texture_gain: float = 0.33  # further levels per level of local standard deviation
    ceiling_levels: float = 3.0
    budget_db: float = 42.3  # at strength 1 a frame is never disturbed more than this PSNR
    iterations: int = 2  # of the informed embedding

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not (math.isfinite(self.strength) and 0.0 < self.strength <= 4.0):
            raise InvalidInputError(f"Watermark strength must lie in (0, 4], got {self.strength}.")
        if self.iterations < 0:
            raise InvalidInputError(f"Watermark iterations must not be negative, got {self.iterations}.")


@dataclass(frozen=True)
class SearchConfig:
    """How hard the reader looks."""

    scale_range: tuple[float, float] = (0.4, 2.6)
    scale_step: float = 0.008  # of the logarithm
    aspect_range: float = 0.24  # of the logarithm of width / height
    rotation_range_deg: float = 4.0
    candidates: int = 6  # decoded per stage; each adds 2^-32 to the chance of a false find
    frames: int = 100  # at most this many are averaged
    flip: bool = True
    geometry: bool = True  # aspect change and rotation, when all else found nothing

    @classmethod
    def tiny(cls) -> SearchConfig:
        """Known scale, nothing else: for tests."""
        return cls(scale_range=(1.0, 1.0), candidates=1, frames=8, flip=False, geometry=False)


PRESETS = {
    "eu_generated": "AI GENERATED",
    "eu_modified": "AI MODIFIED",
    "eu_ai": "AI",
    "zh_generated": "AI生成",
    "zh_synthesised": "人工智能合成",
}  # wordings that rules ask for (docs/responsible_use.md); "text" and "none" come on top
CORNERS = ("top_right", "top_left", "bottom_right", "bottom_left")
DURATIONS = ("always", "start", "periodic")


@dataclass(frozen=True)
class LabelConfig:
    """The visible label: wording, place, size and when it shows."""

    preset: str = "eu_generated"  # a key of PRESETS, "text" or "none"
    text: str = ""  # for the preset "text"
    corner: str = "top_right"
    size_pct: float = 5.0  # height of the letters in percent of the frame's short side
    duration: str = "always"  # "start": the first `seconds`; "periodic": `seconds` at the start of every `every_s`
    seconds: float = 3.0
    every_s: float = 30.0
    opacity: float = 0.8  # of box and letters; raised by itself where the contrast would fall short
    margin_pct: float = 2.0  # distance from the edges in percent of the short side

    def __post_init__(self) -> None:
        """Check names and ranges; presets that follow a rule keep its minimum sizes and times."""
        if self.preset not in (*PRESETS, "text", "none"):
            known = ", ".join((*PRESETS, "text", "none"))
            raise InvalidInputError(f"Unknown label preset {self.preset!r}. Known: {known}.")
        for name, value, known in (("corner", self.corner, CORNERS), ("duration", self.duration, DURATIONS)):
            if value not in known:
                raise InvalidInputError(f"Unknown label {name} {value!r}. Known: {', '.join(known)}.")
        smallest = 5.0 if self.preset in PRESETS else 2.0
        ranges = (
            ("size_pct", self.size_pct, smallest, 30.0), ("opacity", self.opacity, 0.5, 1.0),
            ("margin_pct", self.margin_pct, 0.0, 20.0), ("seconds", self.seconds, 2.0, 3600.0),
            ("every_s", self.every_s, 2.0, 3600.0),
        )  # fmt: skip
        for name, value, low, high in ranges:
            if not low <= value <= high:
                raise InvalidInputError(
                    f"Label {name} must lie in [{low:g}, {high:g}] for the preset '{self.preset}', got {value:g}."
                )
        if self.preset == "text" and not self.text.strip():
            raise InvalidInputError("The label preset 'text' needs a text.")

    @property
    def wording(self) -> str:
        """What the label says; empty for none."""
        return {"none": "", "text": self.text.strip()}.get(self.preset, PRESETS.get(self.preset, ""))
