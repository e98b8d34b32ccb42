"""How the head is set back. Lengths are shares of the head's height in the picture, so they hold at any size."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InvalidInputError

REGIONS = ("auto", "mouth", "face", "head")


@dataclass(frozen=True)
class BodyConfig:
    """Which part of the frame is replaced, and how softly."""

    # mouth: the face from the cheeks down, eyes and brows stay those of the clip; face: hair and outline stay;
    # head: everything above the neck; auto: the smallest of them that holds all that the motion moves
    region: str = "auto"
    mouth_top_m: tuple[float, float] = (0.028, 0.002)  # head axes: between them the clip's upper face fades out
    grow: float = 0.015  # the mask reaches this far beyond face or head
    feather: float = 0.03  # width of the soft edge
    match: float = 0.10  # reach of the colour match, from the seam inwards
    match_limit: float = 0.12  # it changes no colour by more than this, of 1
    inpainter: bool = True  # whole heads also pass the avatar's Body Inpainter, where it has one
    cached_frames: int = 4  # decoded body frames that are held

    def __post_init__(self) -> None:
        """Check the choices."""
        if self.region not in REGIONS:
            raise InvalidInputError(f"BodyConfig.region must be one of {', '.join(REGIONS)}, got '{self.region}'.")

    @staticmethod
    def tiny() -> BodyConfig:
        """For tests (the same: nothing here costs time)."""
        return BodyConfig()
