"""The numbers of the protocol."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from ..adapt.config import RefineConfig
from ..errors import InvalidInputError

# Points of the 478-landmark face mesh.
LIPS = (
    61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 146, 91, 181, 84, 17, 314, 405, 321, 375,
    78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 95, 88, 178, 87, 14, 317, 402, 318, 324,
)  # fmt: skip
INNER_LIPS = (13, 14)  # upper, lower, on the mid-line
LIDS = (
    33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7,
    362, 398, 384, 385, 386, 387, 388, 466, 263, 249, 390, 373, 374, 380, 381, 382,
)  # fmt: skip
N_MESH = 468  # the other ten are irises


@dataclass(frozen=True)
class EvaluateConfig:
    """Self-reenactment: the first 10/11 of a clip make the avatar, the rest tests it."""

    fit_share: Fraction = Fraction(10, 11)
    test_step: int = 1  # score every so many test frames
    mask_grow_px: int = 6  # the head mask through which a frame is pasted, at 512 px
    mask_feather_px: float = 3.0
    mask_level: int = 128  # a pixel above it belongs to the head
    edge_band_px: float = 10.0  # of the head, next to its silhouette, at 512 px
    seam_band_px: float = 8.0  # to both sides of the border of what is pasted
    novel_yaw_deg: float = 30.0  # views from where no frame was taken
    mouth_margin: float = 0.2  # of the larger side of the lips' box
    reference_px: int = 512  # distances are told in pixels of a picture of this size
    plate_frames: int = 24
    plate_still: float = 0.35  # share of the background that must stand still for a plate of the whole clip
    sheet_rows: int = 6
    inpaint: bool = True  # pasted heads pass the avatar's Body Inpainter, which sees the frame with the head cut out
    refine: bool = True  # also score with the motion of the test frames refined against their pictures
    refinement: RefineConfig = field(default_factory=RefineConfig)

    def __post_init__(self) -> None:
        """Check the numbers that a user can set."""
        if not 0 < self.fit_share < 1:
            raise InvalidInputError(f"The share of frames to fit must lie between 0 and 1, got {self.fit_share}.")
        if self.test_step < 1:
            raise InvalidInputError(f"test_step must be at least 1, got {self.test_step}.")

    @classmethod
    def tiny(cls) -> EvaluateConfig:
        """For tests: few frames."""
        return cls(test_step=2, plate_frames=4, sheet_rows=2, refinement=RefineConfig.tiny())
