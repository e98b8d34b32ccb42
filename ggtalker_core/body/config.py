"""How the head is set back. Lengths are shares of the head's height in the picture, so they hold at any size."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InvalidInputError

REGIONS = ("auto", "face", "head")


@dataclass(frozen=True)
class BodyConfig:
    """Which part of the frame is replaced, and how softly."""

    region: str = "auto"  # face: hair and outline stay those of the clip; head: everything above the neck;
    # auto: face while the head keeps the clip's own pose, head as soon as the motion brings another
    grow: float = 0.02  # the mask reaches this far beyond face or head
    feather: float = 0.03  # width of the soft edge
    match: float = 0.10  # reach of the colour match, from the seam inwards
    match_limit: float = 0.12  # it changes no colour by more than this, of 1
    cached_frames: int = 4  # decoded body frames that are held

    def __post_init__(self) -> None:
        """Check the choices."""
        if self.region not in REGIONS:
            raise InvalidInputError(f"BodyConfig.region must be one of {', '.join(REGIONS)}, got '{self.region}'.")

    @staticmethod
    def tiny() -> BodyConfig:
        """For tests (the same: nothing here costs time)."""
        return BodyConfig()
